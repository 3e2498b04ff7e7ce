//! Small values: durations, sizes, rates, networks, dates. Every error says what to write instead.

use std::net::IpAddr;
use std::time::Duration;

use crate::store::Quota;

use ipnet::IpNet;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

use crate::clock::Timestamp;

const DURATION_CURE: &str =
    "write a number and a unit: \"90s\", \"15m\", \"1.5h\", \"30d\", \"2y\" (ms, s, m, h, d, w, y)";

/// `"15m"`, `"1.5h"`, `"30d"`, `"2y"`; `None` for `"never"`.
///
/// # Errors
/// What to write instead.
pub fn duration(text: &str) -> Result<Option<Duration>, String> {
    let text = text.trim();
    if text == "never" {
        return Ok(None);
    }
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        "y" => 31_536_000_000,
        _ => return Err(DURATION_CURE.into()),
    };
    let thousandths = decimal(number.trim()).ok_or(DURATION_CURE)?;
    let millis = u128::from(thousandths) * u128::from(unit_millis) / 1000;
    let millis = u64::try_from(millis).map_err(|_| DURATION_CURE)?;
    if millis > 100 * 31_536_000_000 {
        return Err("that is over a hundred years; write \"never\" where it may be meant".into());
    }
    Ok(Some(Duration::from_millis(millis)))
}

/// `12` or `1.5`, in thousandths. Signs, exponents and more than three decimals are refused.
fn decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 || whole.len() > 12 {
        return None;
    }
    let thousandths: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

/// `"10MiB"`, `"64KiB"`, `"2GB"`, `"512"`; `None` for `"unlimited"`.
///
/// # Errors
/// What to write instead.
pub fn size(text: &str) -> Result<Option<u64>, String> {
    const CURE: &str =
        "write a number and a unit: \"64KiB\", \"10MiB\", \"2GiB\" (B, kB, MB, GB, KiB, MiB, GiB)";
    let text = text.trim();
    if text == "unlimited" {
        return Ok(None);
    }
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(CURE.into()),
    };
    let total = u128::from(decimal(number.trim()).ok_or(CURE)?) * u128::from(bytes) / 1000;
    u64::try_from(total).map(Some).map_err(|_| CURE.into())
}

/// `"5/15m"`.
///
/// # Errors
/// What to write instead.
pub fn rate(text: &str) -> Result<Quota, String> {
    const CURE: &str = "write how many in what span: \"5/15m\"";
    let (count, per) = text.split_once('/').ok_or(CURE)?;
    let count: u32 = count.trim().parse().map_err(|_| CURE)?;
    let per = duration(per).map_err(|_| CURE)?.filter(|per| !per.is_zero()).ok_or(CURE)?;
    if count == 0 {
        return Err("zero lets nobody sign in; write at least \"1/…\"".into());
    }
    Ok(Quota { count, per })
}

/// `"10.0.0.0/8"` or a single address.
///
/// # Errors
/// What to write instead.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        String::from("write an address (\"192.0.2.7\") or a network (\"10.0.0.0/8\", \"2001:db8::/32\")")
    })?;
    if net != net.trunc() {
        return Err(format!("the address has bits behind the mask; write \"{}\"", net.trunc()));
    }
    Ok(net)
}

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const MINUTE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]");

/// `"2027-01-31"` (that day is the last one, UTC) or RFC 3339 `"2027-01-31T12:00:00Z"`.
///
/// # Errors
/// What to write instead.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    const CURE: &str = "write a day, \"2027-01-31\", or a moment, \"2027-01-31T12:00:00Z\"";
    let text = text.trim();
    let end = if let Ok(day) = Date::parse(text, DAY) {
        let next = day.next_day().ok_or(CURE)?;
        PrimitiveDateTime::new(next, Time::MIDNIGHT).assume_utc()
    } else {
        OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).map_err(|_| CURE)?
    };
    Ok(Timestamp::from_seconds(end.unix_timestamp()))
}

/// A moment for people: `2027-01-31 12:00` (UTC).
#[must_use]
pub fn spoken_moment(moment: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(moment.seconds())
        .ok()
        .and_then(|moment| moment.format(MINUTE).ok())
        .unwrap_or_else(|| "never".into())
}

/// A span for people: `30m`, `7d`, `1h30m`.
#[must_use]
pub fn spoken_duration(span: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = span.as_secs();
    let mut parts = Vec::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() { format!("{}ms", span.as_millis()) } else { parts.into_iter().take(2).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text: &str| duration(text).unwrap().unwrap().as_secs();
        assert_eq!((seconds("15m"), seconds("1.5h"), seconds("30d")), (900, 5400, 2_592_000));
        assert_eq!((seconds("2y"), seconds("0s"), seconds("1w")), (63_072_000, 0, 604_800));
        assert_eq!(duration("250ms").unwrap().unwrap().as_millis(), 250);
        assert_eq!(duration("never"), Ok(None));
        for bad in ["", "15", "m", "-5m", "1e3s", "5 parsecs", "1.5.5h", "99999999999y", "∞", ".5h", "5.h"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_rates_networks_and_days_are_read() {
        assert_eq!(size("10MiB"), Ok(Some(10 << 20)));
        assert_eq!(size("1.5kB"), Ok(Some(1500)));
        assert_eq!(size("unlimited"), Ok(None));
        assert!(size("10 megs").is_err());
        assert_eq!(rate("5/15m"), Ok(Quota { count: 5, per: Duration::from_mins(15) }));
        for bad in ["5", "0/1m", "5/0s", "5/never", "x/1m"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert!(network("10.0.0.1/8").unwrap_err().contains("10.0.0.0/8"));
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(spoken_moment(moment("2027-01-31").unwrap()), "2027-02-01 00:00");
        assert!(moment("tomorrow").is_err());
        assert_eq!(spoken_duration(Duration::from_mins(90)), "1h30m");
    }
}
