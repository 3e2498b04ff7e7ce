//! Spans and dates in words, and colours that can be read: small pure helpers of the templates. Never looks at
//! the clock.

use std::time::Duration;

use time::OffsetDateTime;

/// The unit and the count that say `span` best: the coarsest one that is exact to one per cent, or else has two
/// digits; the last resort is minutes. Never zero.
pub(super) fn span(span: Duration) -> (&'static str, u64) {
    const UNITS: [(&str, u64, u64); 4] = [
        ("span-years", 365 * 86_400, 1),
        ("span-days", 86_400, 2),
        ("span-hours", 3_600, 1),
        ("span-minutes", 60, 1),
    ];
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_millis() >= 500)).max(1);
    let rounded = |unit: u64| seconds / unit + u64::from(seconds % unit >= unit / 2);
    for (name, unit, least) in UNITS {
        let count = rounded(unit);
        let exact = count.saturating_mul(unit).abs_diff(seconds) <= seconds / 100;
        if seconds >= unit - unit / 100 && count >= least && (exact || count >= 10) {
            return (name, count);
        }
    }
    if seconds < 120 { ("span-seconds", seconds) } else { ("span-minutes", rounded(60)) }
}

/// Day, month (1 to 12), year and `HH:MM` in UTC; a moment outside the calendar becomes its nearest end.
pub(super) fn date(unix_seconds: i64) -> (u8, u8, i32, String) {
    let end = if unix_seconds < 0 { time::PrimitiveDateTime::MIN } else { time::PrimitiveDateTime::MAX };
    let moment = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(end.assume_utc());
    let clock = format!("{:02}:{:02}", moment.hour(), moment.minute());
    (moment.day(), u8::from(moment.month()), moment.year(), clock)
}

/// A colour, red, green, blue.
type Colour = [u8; 3];

const WHITE: Colour = [255; 3];
const BLACK: Colour = [0; 3];
/// Of the grounds of style.css, in each scheme the one on which words are harder to read.
const LIGHT_GROUND: Colour = [0xf3, 0xf5, 0xf7];
const DARK_CARD: Colour = [0x1b, 0x21, 0x27];
/// Buttons where no accent is configured.
const DEFAULT: Colour = [0x0b, 0x5c, 0x9e];

/// The site's own style, from a colour `#rrggbb`: buttons in that colour with readable words on them, links in
/// the nearest shade that reads on the page. `None` if it is no such colour.
pub(super) fn accent_css(accent: &str) -> Option<String> {
    let accent = colour(accent)?;
    let (on, light, dark) = (
        hex(on(accent)),
        hex(readable(accent, LIGHT_GROUND, BLACK)),
        hex(readable(accent, DARK_CARD, WHITE)),
    );
    let accent = hex(accent);
    Some(format!(
        ":root {{ --accent: {accent}; --on-accent: {on}; --link: {light}; }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --accent: {accent}; --on-accent: {on}; --link: {dark}; }} }}\n"
    ))
}

/// The colour of a letter's button.
pub(super) fn button(accent: &str) -> String {
    hex(colour(accent).unwrap_or(DEFAULT))
}

/// The colour of the words on a letter's button.
pub(super) fn on_button(accent: &str) -> String {
    hex(on(colour(accent).unwrap_or(DEFAULT)))
}

fn colour(text: &str) -> Option<Colour> {
    let digits = text
        .strip_prefix('#')
        .filter(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn on(ground: Colour) -> Colour {
    if contrast(WHITE, ground) >= 4.5 || contrast(WHITE, ground) >= contrast(BLACK, ground) {
        WHITE
    } else {
        BLACK
    }
}

/// `wanted`, moved towards `end` only as far as it takes to be read on `ground`.
fn readable(wanted: Colour, ground: Colour, end: Colour) -> Colour {
    (0..=20u16)
        .map(|step| {
            let mix = |from: u8, to: u8| {
                let mixed = (u16::from(from) * (20 - step) + u16::from(to) * step) / 20;
                u8::try_from(mixed).unwrap_or(to)
            };
            let ([red, green, blue], [to_red, to_green, to_blue]) = (wanted, end);
            [mix(red, to_red), mix(green, to_green), mix(blue, to_blue)]
        })
        .find(|shade| contrast(*shade, ground) >= 4.5)
        .unwrap_or(end)
}

/// WCAG 2.2, "contrast ratio".
fn contrast(a: Colour, b: Colour) -> f64 {
    let luminance = |[red, green, blue]: Colour| {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_the_coarsest_unit_that_is_true() {
        let said = |seconds| span(Duration::from_secs(seconds));
        for (seconds, unit, count) in [
            (0, "span-seconds", 1),
            (45, "span-seconds", 45),
            (60, "span-minutes", 1),
            (90, "span-seconds", 90),
            (899, "span-minutes", 15),
            (900, "span-minutes", 15),
            (3_600, "span-hours", 1),
            (5_400, "span-minutes", 90),
            (86_400, "span-hours", 24),
            (172_800, "span-days", 2),
            (100_000, "span-hours", 28),
            (2_592_000, "span-days", 30),
            (31_536_000, "span-years", 1),
            (63_072_000, "span-years", 2),
            (400 * 86_400, "span-days", 400),
        ] {
            assert_eq!(said(seconds), (unit, count), "{seconds} s");
        }
        assert!(span(Duration::MAX).1 > 0);
        assert!((0..200_000).all(|seconds| said(seconds).1 > 0));
    }

    #[test]
    fn dates_outside_the_calendar_do_not_panic() {
        assert_eq!(date(1_795_247_760), (21, 11, 2026, "07:56".to_owned()));
        date(i64::MAX);
        date(i64::MIN);
    }

    #[test]
    fn any_accent_gives_words_that_can_be_read() {
        for accent in ["#000000", "#ffffff", "#ffff00", "#808080", "#0b5c9e", "#d23f31", "#767676"] {
            let wanted = colour(accent).expect("a colour");
            assert!(contrast(on(wanted), wanted) >= 4.5, "{accent}");
            assert!(contrast(readable(wanted, LIGHT_GROUND, BLACK), LIGHT_GROUND) >= 4.5, "{accent}");
            assert!(contrast(readable(wanted, DARK_CARD, WHITE), DARK_CARD) >= 4.5, "{accent}");
        }
        assert!(
            accent_css("#12345").is_none()
                && accent_css("red;}").is_none()
                && accent_css("#+12345").is_none()
        );
    }
}
