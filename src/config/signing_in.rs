//! Reads `[link]`, `[session]` and the ask part of `[limits]`, of the file or of one site.

use std::time::Duration;

use super::reader::Reader;
use super::values;
use crate::identity::LONGEST_SESSION;
use crate::login::AskLimits;
use crate::login::LinkSettings;
use crate::login::OtherBrowser;
use crate::login::Remember;
use crate::login::SessionSettings;
use crate::store::Quota;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// `[link]`.
pub fn link(reader: &Reader<'_>) -> LinkSettings {
    let words = [
        ("type-address", OtherBrowser::TypeAddress),
        ("code-only", OtherBrowser::CodeOnly),
        ("refuse", OtherBrowser::Refuse),
    ];
    let code = reader.flag("code", true);
    let other_browser = reader.choice("other_browser", OtherBrowser::TypeAddress, &words);
    if !code && other_browser == OtherBrowser::CodeOnly {
        let cure = "write code = true, or other_browser = \"type-address\" or \"refuse\"";
        reader.wrong("other_browser", "letters carry no code, so nobody could use one", cure);
    }
    let lifetime = match reader.parse("lifetime", values::duration) {
        None => Some(10 * MINUTE),
        Some(Some(span)) if span < MINUTE => {
            let cure = "write at least \"1m\"; most letters take longer than that to arrive";
            reader.wrong("lifetime", "nobody could open a link so fast", cure);
            Some(10 * MINUTE)
        }
        Some(span) => span,
    };
    LinkSettings { lifetime, code, other_browser }
}

/// `[session]`.
pub fn session(reader: &Reader<'_>) -> SessionSettings {
    let lifetime = reader.duration("lifetime", 30 * DAY, MINUTE, LONGEST_SESSION);
    let idle = match reader.parse("idle", values::duration) {
        None => lifetime.min(7 * DAY),
        Some(None) => lifetime,
        Some(Some(idle)) if idle < MINUTE => {
            reader.wrong(
                "idle",
                "people would be out before they have read the page",
                "write at least \"1m\"",
            );
            lifetime
        }
        Some(Some(idle)) if idle > lifetime => {
            let cure = format!(
                "write at most \"{}\", raise lifetime, or write \"never\"",
                values::spoken_duration(lifetime)
            );
            reader.wrong("idle", "sessions end by session.lifetime before that", cure);
            lifetime
        }
        Some(Some(idle)) => idle,
    };
    let words = [("always", Remember::Always), ("ask", Remember::Ask), ("never", Remember::Never)];
    let cookie = reader.parse("cookie", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
            return Err("write letters, digits, - and _, at most 32".into());
        }
        if text.to_ascii_lowercase().starts_with("__") {
            return Err("leave the prefix out: __Host- is put in front by itself".into());
        }
        Ok(text.to_owned())
    });
    SessionSettings {
        lifetime,
        idle,
        remember: reader.choice("remember", Remember::Always, &words),
        cookie: cookie.unwrap_or_else(|| "linkgate".into()),
    }
}

/// The ask part of `[limits]`.
pub fn asks(reader: &Reader<'_>) -> AskLimits {
    let rate = |key: &str, count: u32, per: Duration| {
        reader.parse(key, values::rate).unwrap_or(Quota { count, per })
    };
    AskLimits {
        ask_per_address: rate("ask_per_address", 5, 15 * MINUTE),
        ask_per_client: rate("ask_per_client", 20, 15 * MINUTE),
        ask_per_domain: rate("ask_per_domain", 200, HOUR),
        ask_per_site: rate("ask_per_site", 1_000, HOUR),
        redeem_per_client: rate("redeem_per_client", 30, 5 * MINUTE),
    }
}
