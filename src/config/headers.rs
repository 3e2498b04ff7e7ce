//! Reads tables of headers: those that say who asks (names and templates), and those that a route sets or removes.

use http::{HeaderName, HeaderValue};

use super::reader::Reader;
use super::tree::{Table, Value};
use crate::proxy::kept_from_answers;
use crate::proxy::kept_from_requests;

/// What a header set by a route may hold; a content security policy is long.
const LONGEST_VALUE: usize = 4_096;

const WORDS: &[&str] = &["user", "email", "email.local", "name", "groups", "id"];

/// Set by the proxy itself, or dangerous to let a person's name choose.
const TAKEN: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-type",
    "content-encoding",
    "expect",
    "cookie",
    "set-cookie",
    "origin",
    "referer",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-real-ip",
    "x-request-id",
    "linkgate-assertion",
    "proxy-authorization",
];

/// Header names and templates.
pub fn table(reader: &Reader<'_>, key: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, template) in reader.texts(key) {
        let folded = fold(name);
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            reader.wrong(key, format!("{name:?} is no header name"), "write letters, digits and -");
        } else if TAKEN.iter().any(|taken| *taken == folded) {
            reader.wrong(
                key,
                format!("{name} is not ours to fill"),
                "choose another header, such as \"X-User\"",
            );
        } else if found.iter().any(|(other, _)| fold(other) == folded) {
            let what =
                format!("{name} is the same header as another one here, once apps have folded the names");
            reader.wrong(key, what, "leave one out");
        } else if let Err(cure) = check(template) {
            reader.wrong(key, format!("{name} = {template:?} cannot be filled"), cure);
        } else {
            found.push((name.to_owned(), template.to_owned()));
        }
    }
    if found.is_empty() && reader.texts(key).is_empty() {
        reader.wrong(key, "this table is empty", "write \"X-User\" = \"{user}\", or leave identity out");
    }
    found
}

/// `set_request_headers`. `identity`: names that the app's identity tables fill. The values may be keys of the app's,
/// so that nothing prints them.
pub fn of_requests(reader: &Reader<'_>, identity: &[&str]) -> Vec<(HeaderName, HeaderValue)> {
    let key = "set_request_headers";
    let kept = |name: &HeaderName, text: &str| {
        if identity.iter().any(|other| fold(other) == fold(name.as_str())) {
            return Some(("an identity table of this app fills it", "leave one of the two"));
        }
        if WORDS.iter().any(|word| text.contains(&format!("{{{word}}}"))) {
            return Some(("this is the same for everybody", "write templates into identity = { … }"));
        }
        kept_from_requests(name)
    };
    let mut found = set(reader, key, kept);
    for (_, value) in &mut found {
        value.set_sensitive(true);
    }
    found
}

/// `set_response_headers`.
pub fn of_answers(reader: &Reader<'_>) -> Vec<(HeaderName, HeaderValue)> {
    set(reader, "set_response_headers", kept_from_answers)
}

/// Headers that a route sets; an empty value removes. `kept`: why one may not be, and the cure.
fn set(
    reader: &Reader<'_>,
    key: &str,
    kept: impl Fn(&HeaderName, &str) -> Option<(&'static str, &'static str)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut found: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (written, text) in reader.texts(key) {
        let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
            reader.wrong_entry(
                key,
                written,
                format!("{written:?} is no header name"),
                "write letters, digits and -",
            );
            continue;
        };
        let value = HeaderValue::from_bytes(text.as_bytes());
        if let Some((what, cure)) = kept(&name, text) {
            reader.wrong_entry(key, written, format!("{written} cannot be set: {what}"), cure);
        } else if found.iter().any(|(other, _)| fold(other.as_str()) == fold(name.as_str())) {
            let what =
                format!("{written} is the same header as another one here, once apps have folded the names");
            reader.wrong_entry(key, written, what, "leave one out");
        } else if let Ok(value) = value
            && text.len() <= LONGEST_VALUE
            && text.trim() == text
            && !text.chars().any(char::is_control)
        {
            found.push((name, value));
        } else {
            let cure = "write at most 4096 characters, no control characters, no spaces around them; \"\" removes the header";
            reader.wrong_entry(key, written, format!("the value of {written} cannot be sent"), cure);
        }
    }
    if found.is_empty() && reader.table(key).is_some_and(|table| table.entries.is_empty()) {
        reader.wrong(key, "this table is empty", "write \"X-Name\" = \"value\", or leave it out");
    }
    found
}

/// Takes out of `base` the headers that `own` names too, in whatever spelling: a route's word replaces its app's.
pub fn yield_to(base: &mut Table, own: &Table, key: &str) {
    let Some(own) = own.table(key) else { return };
    let Some(Value::Table(base)) = base.entries.get_mut(key).map(|entry| &mut entry.node.value) else {
        return;
    };
    base.entries.retain(|name, _| !own.entries.keys().any(|other| fold(other) == fold(name)));
}

/// As CGI, WSGI and PHP fold header names.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Templates of identity headers say something else of everybody.
fn check(template: &str) -> Result<(), String> {
    check_template(template)?;
    if template.contains('{') { Ok(()) } else { Err(format!("it says the same for everybody; {CURE}")) }
}

const CURE: &str = "use {user}, {email}, {email.local}, {name}, {groups}, {id} or {attributes.NAME}";

/// Whether a template can be filled; the error is the cure.
pub fn check_template(template: &str) -> Result<(), String> {
    if !super::people::is_plain(template) {
        return Err("write at most 256 plain characters".into());
    }
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let inside = rest.get(start..).and_then(|r| r.strip_prefix('{')).ok_or(CURE)?;
        let (word, after) = inside.split_once('}').ok_or(CURE)?;
        let attribute = word
            .strip_prefix("attributes.")
            .is_some_and(|name| !name.is_empty() && !name.contains(['{', '.']));
        if !WORDS.contains(&word) && !attribute {
            return Err(CURE.into());
        }
        rest = after;
    }
    Ok(())
}
