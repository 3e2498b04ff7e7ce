//! One request for one of our own pages, and what it sent. Never counts a cookie of which two are good, never reads
//! a form that says one thing twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::FromRequestParts;
use axum::extract::Request;
use http::HeaderMap;
use http::Method;
use http::header;
use http::request;
use tokio::time::timeout;

use super::Current;
use super::Login;
use super::Navigation;
use super::Visitor;
use super::errors::Problem;
use super::frame::Frame;
use super::limits::client_buckets;
use super::limits::spend;
use super::nonce::KEPT;
use super::nonce::Nonce;
use super::nonce_of;
use super::return_to;
use super::visitor::from_own_page;
use super::visitor::not_from_elsewhere;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::identity::Keys;
use crate::identity::cookie;
use crate::store::AuditEvent;
use crate::store::Quota;

/// A request, as handlers see it.
pub(super) struct Call {
    pub login: Arc<Login>,
    pub visitor: Visitor,
    pub method: Method,
    pub headers: HeaderMap,
    pub query: String,
    pub keys: Arc<Keys>,
    pub now: Timestamp,
}

impl FromRequestParts<Arc<Login>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut request::Parts,
        login: &Arc<Login>,
    ) -> Result<Self, Self::Rejection> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        Ok(Self {
            login: Arc::clone(login),
            visitor: visitor.ok_or_else(|| Problem::Internal("a request without a visitor".into()))?,
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            keys: login.parts.keys.current(),
            now: login.parts.clock.now(),
        })
    }
}

impl Call {
    /// What pages are drawn with.
    pub(super) fn frame(&self) -> Frame<'_> {
        self.login.frame(&self.visitor, &self.headers)
    }

    /// The query's fields; saying one thing twice is an error.
    pub(super) fn query(&self) -> Result<Fields, Problem> {
        Fields::parse(self.query.as_bytes()).ok_or(Problem::BadRequest("a field of the query is there twice"))
    }

    /// What the browser says of a GET.
    pub(super) fn navigation(&self) -> Navigation {
        Navigation::of(&self.method, &self.headers)
    }

    /// Who is signed in.
    pub(super) fn session(&self) -> Option<&Arc<Current>> {
        self.visitor.session.as_ref()
    }

    /// The site's name.
    pub(super) fn site(&self) -> &str {
        &self.visitor.site.site.name
    }

    /// The browser's nonce: of several cookies of that name exactly one must be good.
    pub(super) fn nonce(&self) -> Option<Nonce> {
        nonce_of(&self.visitor, &self.headers, &self.keys, self.now)
    }

    /// Reads a nonce that a program brought back.
    pub(super) fn nonce_of(&self, text: &str) -> Option<Nonce> {
        Nonce::read(&self.keys, self.site(), self.visitor.origin.as_str(), text, self.now)
    }

    /// A nonce as text, for the cookie or a program.
    pub(super) fn nonce_text(&self, nonce: &Nonce) -> String {
        nonce.write(&self.keys, self.site(), self.visitor.origin.as_str())
    }

    /// `Set-Cookie` for a nonce.
    pub(super) fn nonce_cookie(&self, nonce: &Nonce) -> String {
        let names = &self.visitor.cookies;
        names.set(&names.nonce, &self.nonce_text(nonce), i64::try_from(KEPT.as_secs()).ok())
    }

    /// Where a wish leads.
    pub(super) fn return_to(&self, wish: Option<&str>) -> String {
        return_to::or_start(&self.visitor.site.site, &self.visitor.origin, &self.login.parts.prefix, wish)
    }

    /// One of our pages on this host: `/login`.
    pub(super) fn own(&self, path: &str) -> String {
        format!("{}{path}", self.login.parts.prefix)
    }

    /// One of our pages on the host where people sign in.
    pub(super) fn at_sign_in_host(&self, path: &str) -> String {
        format!("{}{}{path}", self.visitor.site.site.url.as_str(), self.login.parts.prefix)
    }

    /// A form must come from a page of ours; a program may say nothing of where it comes from.
    pub(super) fn must_be_own(&self, sent: &Sent) -> Result<(), Problem> {
        let proved = if sent.json {
            not_from_elsewhere(&self.headers, &self.visitor.origin)
        } else {
            from_own_page(&self.headers, &self.visitor.origin)
        };
        if proved { Ok(()) } else { Err(Problem::CrossSite) }
    }

    /// The person behind an address, if they may sign in now: there is one judge.
    pub(super) fn admitted(&self, email: &EmailAddress) -> Option<Identity> {
        let site = &self.visitor.site.site;
        let stored = self.login.parts.standing.profile(&site.name, email);
        site.identity(email, stored.as_deref(), self.now).filter(|who| site.may_sign_in(who))
    }

    /// A row for the audit.
    pub(super) fn event(&self, what: &str, email: &str, detail: &str) -> AuditEvent {
        AuditEvent {
            at: self.now,
            site: self.site().to_owned(),
            email: email.to_owned(),
            what: what.to_owned(),
            request: self.visitor.request_id.clone(),
            client: self.visitor.client.to_string(),
            detail: detail.to_owned(),
        }
    }

    /// As [`Call::audit`], for what costs the sender nothing to repeat: some lines a client, so that one old link does
    /// not fill the disk.
    pub(super) fn audit_sparingly(&self, what: &str, email: &str, detail: &str) {
        const LINES: Quota = Quota { count: 60, per: Duration::from_hours(1) };
        let buckets = client_buckets(self, "audit", LINES);
        self.write_audit(what, email, detail, buckets);
    }

    /// Writes the audit without waiting; what cannot be written is logged without its contents.
    pub(super) fn audit(&self, what: &str, email: &str, detail: &str) {
        self.write_audit(what, email, detail, Vec::new());
    }

    fn write_audit(&self, what: &str, email: &str, detail: &str, buckets: Vec<(String, Quota)>) {
        let event = self.event(what, email, detail);
        let store = self.login.parts.store.clone();
        tokio::spawn(async move {
            let written = match spend(&store, buckets).await {
                Ok(true) => store.audit(event).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                tracing::error!(%error, "the audit could not be written");
            }
        });
    }
}

/// Fields of a form, a query or a JSON object.
#[derive(Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    /// `application/x-www-form-urlencoded`; `None` where a field is there twice.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// A field; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a field is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// How long a form, of a packet or a few, may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// The body of a POST.
pub(super) struct Sent {
    pub json: bool,
    pub fields: Fields,
}

impl FromRequest<Arc<Login>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, login: &Arc<Login>) -> Result<Self, Self::Rejection> {
        let mut kinds = request.headers().get_all(header::CONTENT_TYPE).iter();
        let kind = match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind.to_str().unwrap_or_default().to_ascii_lowercase(),
            (None, _) => String::new(),
            (Some(_), Some(_)) => return Err(Problem::BadRequest("Content-Type is there twice")),
        };
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        // Who dawdles, or says no more at all, would keep the connection for as long as it likes.
        let body = timeout(FORM_TIME, Bytes::from_request(request, login)).await;
        let body = body.map_err(|_| Problem::TooSlow)?.map_err(|rejection| {
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                Problem::TooLarge
            } else {
                Problem::BadRequest("the body broke off")
            }
        })?;
        match kind.as_str() {
            "application/json" => Ok(Self { json: true, fields: json(&body)? }),
            "application/x-www-form-urlencoded" => Fields::parse(&body)
                .map(|fields| Self { json: false, fields })
                .ok_or(Problem::BadRequest("a field of the form is there twice")),
            _ if body.is_empty() => Ok(Self { json: false, fields: Fields::default() }),
            _ => Err(Problem::BadRequest("send a form or application/json")),
        }
    }
}

/// An object of texts; `null` is as good as absent. What is said twice, or is of another kind, is an error.
fn json(body: &[u8]) -> Result<Fields, Problem> {
    struct Object(HashMap<String, String>);
    impl<'de> serde::Deserialize<'de> for Object {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_map(Visit)
        }
    }
    struct Visit;
    impl<'de> serde::de::Visitor<'de> for Visit {
        type Value = Object;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
            let mut fields = HashMap::new();
            while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                if fields.insert(name, value.unwrap_or_default()).is_some() {
                    return Err(serde::de::Error::custom("a name is there twice"));
                }
            }
            Ok(Object(fields))
        }
    }
    match serde_json::from_slice::<Object>(body) {
        Ok(Object(fields)) => Ok(Fields(fields)),
        // The place, not the words: they may hold an address or a token.
        Err(error) => Err(Problem::BadJson { line: error.line(), column: error.column() }),
    }
}

/// The one good value among the cookies named `name`.
pub(super) fn one_good<T: PartialEq>(
    headers: &HeaderMap,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let mut good = cookie::values(headers, name).filter_map(read);
    let first = good.next()?;
    good.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_not_read() {
        assert!(Fields::parse(b"a=1&a=2").is_none());
        assert_eq!(Fields::parse(b"a=1&b=").unwrap().get("a"), Some("1"));
        assert_eq!(Fields::parse(b"a=1&b=").unwrap().get("b"), None);
        assert!(json(br#"{"a":"1","a":"2"}"#).is_err());
        assert!(json(br#"{"a":1}"#).is_err());
        assert!(json(b"[]").is_err());
        assert!(json(b"{").is_err());
        assert_eq!(json(br#"{"a":"1","b":null}"#).unwrap().get("a"), Some("1"));
    }

    #[test]
    fn of_two_good_cookies_none_counts() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "n=1; n=x".parse().unwrap());
        let read = |text: &str| text.parse::<u8>().ok();
        assert_eq!(one_good(&headers, "n", read), Some(1));
        headers.append(header::COOKIE, "n=2".parse().unwrap());
        assert_eq!(one_good(&headers, "n", read), None);
    }
}
