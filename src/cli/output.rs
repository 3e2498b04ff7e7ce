//! Results on standard output: lines, tables, JSON. Everything else goes to standard error, by `main`.

use std::io::Write as _;
use std::time::Duration;

use super::Failure;
use crate::clock::Timestamp;
use crate::config::values;
use crate::identity::EmailAddress;

/// Writes bytes. A reader that has gone away (`| head`) is no mistake.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line.
pub fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes JSON, indented.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Writes a table with a head, columns aligned; nothing but a word where it is empty.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    if rows.is_empty() {
        return remark("none");
    }
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = head.iter().map(|text| width(text)).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(widest.saturating_sub(width(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    bytes(text.as_bytes())
}

/// Says something to the person, beside the result.
pub fn remark(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stderr(), "{text}").map_err(|error| Failure::Failed(format!("standard error: {error}")))
}

/// `2027-01-31 12:00 (in 3d)`, or `never`.
pub fn moment(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "never".into() };
    let written = values::spoken_moment(at);
    if at >= now {
        format!("{written} (in {})", coarse(at.since(now)))
    } else {
        format!("{written} ({} ago)", coarse(now.since(at)))
    }
}

/// The largest unit that fits, alone.
fn coarse(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        172_800.. => format!("{}d", seconds / 86_400),
    }
}

/// For programs: RFC 3339, or null.
pub fn json_moment(at: Option<Timestamp>) -> serde_json::Value {
    let format = &time::format_description::well_known::Rfc3339;
    at.and_then(|at| time::OffsetDateTime::from_unix_timestamp(at.seconds()).ok())
        .and_then(|at| at.format(format).ok())
        .map_or(serde_json::Value::Null, serde_json::Value::String)
}

/// An address on the command line.
pub fn address(text: &str) -> Result<EmailAddress, Failure> {
    EmailAddress::parse(text).map_err(|error| Failure::Usage(format!("{text:?}: {error}")))
}
