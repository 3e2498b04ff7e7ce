//! Reads a table of identity headers: names and templates.

use super::reader::Reader;

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

/// As CGI, WSGI and PHP fold header names.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn check(template: &str) -> Result<(), String> {
    const CURE: &str = "use {user}, {email}, {email.local}, {name}, {groups}, {id} or {attributes.NAME}";
    if !super::people::is_plain(template) {
        return Err("write at most 256 plain characters".into());
    }
    let mut rest = template;
    let mut any = false;
    while let Some(start) = rest.find(['{', '}']) {
        let inside = rest.get(start..).and_then(|r| r.strip_prefix('{')).ok_or(CURE)?;
        let (word, after) = inside.split_once('}').ok_or(CURE)?;
        let attribute = word
            .strip_prefix("attributes.")
            .is_some_and(|name| !name.is_empty() && !name.contains(['{', '.']));
        if !WORDS.contains(&word) && !attribute {
            return Err(CURE.into());
        }
        any = true;
        rest = after;
    }
    if any { Ok(()) } else { Err(format!("it says the same for everybody; {CURE}")) }
}
