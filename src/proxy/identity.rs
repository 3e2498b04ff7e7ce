//! Who asks, as the app reads it. Values are made once a session and copied on every request; every header is always
//! set, empty where nothing is known, so that an app never takes a visitor's word (class of CVE-2026-30851).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::identity::Identity;
use crate::policy::IdentityHeaders;

static ASSERTION: HeaderName = HeaderName::from_static("linkgate-assertion");
const EMPTY: HeaderValue = HeaderValue::from_static("");

type Preset = [(HeaderName, &'static str); 4];

// Names that need no counting when they are copied.
static REMOTE: Preset = [
    (HeaderName::from_static("remote-user"), "{user}"),
    (HeaderName::from_static("remote-email"), "{email}"),
    (HeaderName::from_static("remote-name"), "{name}"),
    (HeaderName::from_static("remote-groups"), "{groups}"),
];
static X_FORWARDED: Preset = [
    (HeaderName::from_static("x-forwarded-user"), "{user}"),
    (HeaderName::from_static("x-forwarded-email"), "{email}"),
    (HeaderName::from_static("x-forwarded-groups"), "{groups}"),
    (HeaderName::from_static("x-forwarded-preferred-username"), "{user}"),
];
static X_AUTH_REQUEST: Preset = [
    (HeaderName::from_static("x-auth-request-user"), "{user}"),
    (HeaderName::from_static("x-auth-request-email"), "{email}"),
    (HeaderName::from_static("x-auth-request-groups"), "{groups}"),
    (HeaderName::from_static("x-auth-request-preferred-username"), "{user}"),
];

/// Identity headers with their values, ready to be copied into requests and forward-auth answers.
#[derive(Clone)]
pub struct IdentityHeaderValues(Vec<(HeaderName, HeaderValue)>);

impl IdentityHeaderValues {
    /// The headers that `headers` asks for, filled for `who`. Text stays UTF-8; a value with a control character
    /// becomes empty. A table row whose name is no header name is passed over: configuration refuses it.
    #[must_use]
    pub fn new(headers: &IdentityHeaders, who: &Identity) -> Self {
        Self::build(headers, |template| value(&fill(template, who)))
    }

    /// The same headers, all empty: for visitors of whom nothing is known.
    #[must_use]
    pub fn empty(headers: &IdentityHeaders) -> Self {
        Self::build(headers, |_| EMPTY)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    fn build(headers: &IdentityHeaders, value: impl Fn(&str) -> HeaderValue) -> Self {
        let preset = |rows: &Preset| rows.iter().map(|(n, t)| (n.clone(), value(t))).collect();
        let row = |name: &str, template: &str| {
            HeaderName::from_bytes(name.as_bytes()).ok().map(|name| (name, value(template)))
        };
        Self(match headers {
            IdentityHeaders::Remote => preset(&REMOTE),
            IdentityHeaders::XForwarded => preset(&X_FORWARDED),
            IdentityHeaders::XAuthRequest => preset(&X_AUTH_REQUEST),
            IdentityHeaders::Table(rows) => rows.iter().filter_map(|(n, t)| row(n, t)).collect(),
        })
    }
}

impl std::fmt::Debug for IdentityHeaderValues {
    /// Names only: values are people's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Sets the identity headers and the assertion, empty where there is none. `insert`: ours replace, never join.
pub(super) fn set(headers: &mut HeaderMap, values: &IdentityHeaderValues, assertion: Option<&HeaderValue>) {
    for (name, value) in values.iter() {
        headers.insert(name, value.clone());
    }
    headers.insert(&ASSERTION, assertion.cloned().unwrap_or(EMPTY));
}

/// Sets the same headers empty: nobody is named.
pub(super) fn set_nobody(headers: &mut HeaderMap, wanted: &IdentityHeaders) {
    let preset = match wanted {
        IdentityHeaders::Remote => &REMOTE,
        IdentityHeaders::XForwarded => &X_FORWARDED,
        IdentityHeaders::XAuthRequest => &X_AUTH_REQUEST,
        IdentityHeaders::Table(_) => return set(headers, &IdentityHeaderValues::empty(wanted), None),
    };
    for (name, _) in preset {
        headers.insert(name, EMPTY);
    }
    headers.insert(&ASSERTION, EMPTY);
}

/// A template with its `{names}` filled in. An unknown name gives nothing; a brace without its partner is itself.
pub(super) fn fill(template: &str, who: &Identity) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match name {
            "user" => filled.push_str(&who.user),
            "email" => filled.push_str(who.email.as_str()),
            "email.local" => filled.push_str(who.email.local()),
            "email.domain" => filled.push_str(who.email.domain()),
            "name" => filled.push_str(&who.name),
            "groups" => filled.push_str(&who.groups.join(",")),
            "id" => filled.push_str(id(who)),
            _ => filled.push_str(
                name.strip_prefix("attributes.")
                    .and_then(|key| who.attributes.get(key))
                    .map_or("", String::as_str),
            ),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The profile's id; empty where the address stands in for it.
fn id(who: &Identity) -> &str {
    if who.user == who.email.as_str() { "" } else { &who.user }
}

/// UTF-8 as it is; empty where a control character (C0, DEL, C1) would let text pose as structure.
fn value(text: &str) -> HeaderValue {
    if text.chars().any(char::is_control) {
        return EMPTY;
    }
    HeaderValue::from_bytes(text.trim().as_bytes()).unwrap_or(EMPTY)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::identity::EmailAddress;

    fn alice() -> Identity {
        Identity {
            email: EmailAddress::parse("alice@example.com").unwrap(),
            name: "Älice\u{2028}".into(),
            user: "1017".into(),
            groups: vec!["family".into(), "staff".into()],
            attributes: BTreeMap::from([
                ("role".into(), "editor".into()),
                ("bad".into(), "a\r\nb: c".into()),
            ]),
            listed: true,
        }
    }

    fn pairs(values: &IdentityHeaderValues) -> Vec<(String, String)> {
        values
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8(v.as_bytes().to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn a_table_fills_its_templates_and_never_lets_a_line_break_through() {
        let table = [
            ("X-Id", "{id}"),
            ("X-Local", "u:{email.local}"),
            ("X-Role", "{attributes.role}"),
            ("X-Bad", "{attributes.bad}"),
            ("X-None", "{nothing}"),
            ("X-Open", "{user"),
            ("X-Groups", "{groups}"),
        ];
        let table = IdentityHeaders::Table(table.map(|(n, t)| (n.to_owned(), t.to_owned())).to_vec());
        let values = pairs(&IdentityHeaderValues::new(&table, &alice()));
        let values: Vec<&str> = values.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["1017", "u:alice", "editor", "", "", "{user", "family,staff"]);
    }

    #[test]
    fn names_stay_utf_8_and_empty_sets_every_header() {
        let values = pairs(&IdentityHeaderValues::new(&IdentityHeaders::Remote, &alice()));
        assert!(values.iter().any(|(n, v)| n == "remote-name" && v.starts_with("Älice")));
        for preset in [IdentityHeaders::Remote, IdentityHeaders::XForwarded, IdentityHeaders::XAuthRequest] {
            let empty = pairs(&IdentityHeaderValues::empty(&preset));
            assert_eq!(empty.len(), 4);
            assert!(empty.iter().all(|(_, v)| v.is_empty()));
        }
    }
}
