//! Every error of sign-in becomes an answer here. Never repeats an address or a token; programs get RFC 9457
//! problem documents with a stable `type`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;

use super::Login;
use super::Visitor;
use super::frame::Frame;
use crate::identity::KeyError;
use crate::page::PageError;
use crate::secret::Secret;
use crate::store::StoreError;

/// What went wrong, by who is at fault.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    /// Visitor: nothing we understand.
    BadRequest(&'static str),
    /// Program: no JSON object of texts.
    BadJson { line: usize, column: usize },
    /// Program: no address.
    BadAddress(&'static str),
    /// Visitor: over the limit of a form.
    TooLarge,
    /// Visitor: a form that takes too long to arrive.
    TooSlow,
    /// Visitor: no such page.
    NotFound,
    /// Visitor: no such method here.
    Method,
    /// Visitor or somebody else: a form that no page of ours sent.
    CrossSite,
    /// Visitor: this client does it too often.
    TooMany,
    /// Program: nobody is signed in.
    NotSignedIn,
    /// Program: the code is not right.
    WrongCode,
    /// Program: codes are off for now.
    CodesOff,
    /// Program: not the address that the link was sent to.
    WrongAddress,
    /// Visitor: the browser keeps no cookies.
    Loop,
    /// Visitor: a link that does not work: `expired`, `used`, `revoked`, `invalid`, `foreign`, `unknown`.
    Link {
        kind: &'static str,
        /// The token, where a fresh letter may be asked for with it.
        again: Option<Secret<String>>,
        /// The address of who is signed in; empty: nobody.
        current: String,
    },
    /// Store: it does not answer.
    StoreAway(String),
    /// Us.
    Internal(String),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::StoreAway(error.to_string())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl IntoResponse for Problem {
    /// A bare answer that carries the problem to [`draw`].
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.facts().0;
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct ErrorPage<'a> {
    status: u16,
    kind: &'a str,
    detail: &'a str,
    retry: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct LinkPage<'a> {
    kind: &'a str,
    token: &'a str,
    again: bool,
    current: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
}

/// Gives every problem its face. The one place of the room that logs them.
pub(super) async fn draw(State(login): State<Arc<Login>>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned();
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    let (Some(problem), Some(visitor)) = (response.extensions_mut().remove::<Problem>(), visitor) else {
        return response;
    };
    problem.log(&visitor.request_id);
    let allow = response.headers_mut().remove(header::ALLOW);
    let mut drawn = problem.respond(&login.frame(&visitor, &headers));
    if let Some(allow) = allow {
        // RFC 9110 §15.5.6: a 405 says what is allowed.
        drawn.headers_mut().insert(header::ALLOW, allow);
    }
    drawn
}

impl Problem {
    /// Status, kind, and a sentence for programs.
    fn facts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(what) => (StatusCode::BAD_REQUEST, "bad-request", what),
            Self::BadJson { .. } => (StatusCode::BAD_REQUEST, "bad-json", "Send one JSON object of texts."),
            Self::BadAddress(what) => (StatusCode::BAD_REQUEST, "bad-address", what),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Forms are small here."),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The body did not arrive in time."),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no page of this name."),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "This page has no such method."),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross-site",
                "This was not sent by a page of this host: Sec-Fetch-Site or Origin must say so.",
            ),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Wait a few minutes."),
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "not-signed-in", "Nobody is signed in."),
            Self::WrongCode => {
                (StatusCode::FORBIDDEN, "wrong-code", "The code is not right, or has expired.")
            }
            Self::CodesOff => {
                (StatusCode::FORBIDDEN, "codes-off", "Too many wrong codes: use the link, or ask again.")
            }
            Self::WrongAddress => {
                (StatusCode::FORBIDDEN, "wrong-address", "The link was not sent to this address.")
            }
            Self::Loop => (StatusCode::BAD_REQUEST, "loop", "The browser did not keep our cookie."),
            Self::Link { kind, .. } => {
                let (status, name, detail) = link(kind);
                (status, name, detail)
            }
            Self::StoreAway(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-away",
                "The place where sign-ins are kept does not answer.",
            ),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "It is our fault."),
        }
    }

    fn log(&self, reference: &str) {
        match self {
            Self::StoreAway(why) => tracing::error!(reference, why, "the store is away: no new sign-ins"),
            Self::Internal(why) => tracing::error!(reference, why, "sign-in failed inside"),
            Self::BadRequest(_)
            | Self::BadJson { .. }
            | Self::BadAddress(_)
            | Self::TooLarge
            | Self::TooSlow
            | Self::NotFound
            | Self::Method
            | Self::CrossSite
            | Self::TooMany
            | Self::NotSignedIn
            | Self::WrongCode
            | Self::CodesOff
            | Self::WrongAddress
            | Self::Loop
            | Self::Link { .. } => {
                let (status, kind, _) = self.facts();
                tracing::debug!(reference, status = status.as_u16(), kind, "sign-in refused");
            }
        }
    }

    /// The answer: a page for a person, a problem document for a program.
    pub(super) fn respond(&self, frame: &Frame<'_>) -> Response {
        let (status, kind, detail) = self.facts();
        if !frame.html {
            let mut detail = detail.to_owned();
            if let Self::BadJson { line, column } = self {
                detail = format!("{detail} Line {line}, column {column}.");
            }
            return document(frame, status, kind, &detail);
        }
        let drawn = match self {
            Self::Link { kind, again, current } => {
                let token = again.as_ref().map_or("", |token| token.expose().as_str());
                let own = LinkPage { kind, token, again: again.is_some(), current };
                frame.page(status, "link-problem.html", own)
            }
            Self::CrossSite => {
                error_page(frame, status, "bad-request", "", &format!("{}/login", frame.prefix))
            }
            Self::BadRequest(_)
            | Self::BadJson { .. }
            | Self::BadAddress(_)
            | Self::TooSlow
            | Self::NotSignedIn
            | Self::WrongCode
            | Self::CodesOff
            | Self::WrongAddress => error_page(frame, status, "bad-request", "", ""),
            Self::TooLarge
            | Self::NotFound
            | Self::Method
            | Self::TooMany
            | Self::Loop
            | Self::StoreAway(_)
            | Self::Internal(_) => error_page(frame, status, kind, "", ""),
        };
        // A page that cannot be drawn must not hide what happened.
        let mut drawn = drawn.unwrap_or_else(|_| document(frame, status, kind, detail));
        if status == StatusCode::UNAUTHORIZED {
            drawn.headers_mut().insert(header::WWW_AUTHENTICATE, challenge());
        }
        drawn
    }
}

fn link(kind: &'static str) -> (StatusCode, &'static str, &'static str) {
    match kind {
        "expired" => (StatusCode::GONE, "link-expired", "The link has expired."),
        "used" => (StatusCode::GONE, "link-used", "The link has been used."),
        "revoked" => (StatusCode::GONE, "link-revoked", "The link has been withdrawn."),
        "foreign" => (StatusCode::BAD_REQUEST, "link-foreign", "The link is of another system."),
        "unknown" => (StatusCode::NOT_FOUND, "link-unknown", "The link is not known."),
        _ => (StatusCode::BAD_REQUEST, "link-invalid", "The link is damaged."),
    }
}

/// The page `error.html`.
pub(super) fn error_page(
    frame: &Frame<'_>,
    status: StatusCode,
    kind: &str,
    detail: &str,
    retry: &str,
) -> Result<Response, Problem> {
    let own = ErrorPage { status: status.as_u16(), kind, detail, retry, reference: frame.reference };
    frame.page(status, "error.html", own)
}

/// What every 401 of ours carries.
pub(super) const fn challenge() -> HeaderValue {
    HeaderValue::from_static("Bearer realm=\"linkgate\"")
}

/// A problem document (RFC 9457). Every 401 says how to sign in (RFC 9110 §11.6.1).
pub(super) fn document(frame: &Frame<'_>, status: StatusCode, kind: &str, detail: &str) -> Response {
    let login = format!("{}{}/login", frame.site.site.url.as_str(), frame.prefix);
    let unauthorized = status == StatusCode::UNAUTHORIZED;
    let document = Document {
        kind: format!("urn:linkgate:problem:{kind}"),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail,
        reference: frame.reference,
        login: unauthorized.then_some(login.as_str()),
    };
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut response = frame.bare(status, Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if unauthorized {
        // RFC 6750 §3: no `error` where no token was sent. A site's name may hold quotes: it is left out.
        headers.insert(header::WWW_AUTHENTICATE, challenge());
    }
    response
}
