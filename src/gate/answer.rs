//! Every error becomes an answer here, and only here. Never tells a visitor more than the visitor needs; what an
//! administrator needs goes to the log, under the same reference.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use super::Body;
use crate::policy::TargetError;
use crate::proxy::ForwardError;

/// What went wrong with one request, by who is at fault.
#[derive(Debug)]
pub enum Fault {
    /// The visitor: no request that anybody should answer.
    Target(TargetError),
    /// A trusted proxy in front: what it says of the visitor makes no sense.
    Forwarding(&'static str),
    /// The configuration, or the visitor: no site has this host.
    UnknownHost(String),
    /// The host is https, the request came by plain http.
    Insecure,
    /// Another spelling of our own prefix, or a page that is not there.
    NotFound,
    /// A question for another proxy's sake that is not answered.
    Check,
    /// What is in memory of revocations is too old to let anybody in by it.
    Stale,
    /// The app.
    Forward(ForwardError),
}

/// How a fault is shown.
pub struct Shown {
    /// Status.
    pub status: StatusCode,
    /// The page's kind, and the problem's type.
    pub kind: &'static str,
    /// One sentence for programs and for administrators.
    pub detail: String,
}

impl Fault {
    /// Status, kind and sentence of a fault. Exhaustive: no fault falls through to something kind.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let (status, kind, detail) = match self {
            Self::Target(error) => (StatusCode::BAD_REQUEST, "bad-request", error.to_string()),
            Self::Forwarding(what) => (StatusCode::BAD_REQUEST, "bad-request", (*what).to_owned()),
            Self::UnknownHost(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                format!("No site has the host {host}. Add to the configuration: [[site]] url = \"https://{host}\""),
            ),
            Self::Insecure => (
                StatusCode::BAD_REQUEST,
                "insecure",
                "This host is https, but the request came by plain http. If a proxy in front ends TLS, name its \
                 address in trusted_proxies and let it send X-Forwarded-Proto."
                    .to_owned(),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such page.".to_owned()),
            Self::Check => {
                (StatusCode::FORBIDDEN, "not-allowed", "This may not be asked, or not by you.".to_owned())
            }
            Self::Stale => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-away",
                "The list of ended sessions could not be read for too long.".to_owned(),
            ),
            Self::Forward(error) => return forward(error),
        };
        Shown { status, kind, detail }
    }
}

fn forward(error: &ForwardError) -> Shown {
    let (status, kind, detail) = match error {
        ForwardError::Refused(_) => (StatusCode::BAD_GATEWAY, "upstream-down", "The app does not answer."),
        ForwardError::Full => {
            (StatusCode::SERVICE_UNAVAILABLE, "upstream-slow", "Too much is going on here at the moment.")
        }
        ForwardError::Tls(_) => {
            (StatusCode::BAD_GATEWAY, "upstream-down", "The app cannot be reached safely.")
        }
        ForwardError::Broken(_) => {
            (StatusCode::BAD_GATEWAY, "upstream-down", "The app broke its answer off.")
        }
        ForwardError::ConnectTimeout | ForwardError::ResponseTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, "upstream-slow", "The app took too long to answer.")
        }
        ForwardError::BodyTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The request's body is larger than this route takes.",
        ),
        ForwardError::VisitorBody(_) => {
            (StatusCode::BAD_REQUEST, "bad-request", "The request's body broke off or was malformed.")
        }
        ForwardError::Path(_) => (
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Programs read this address differently, so it is not passed on.",
        ),
        ForwardError::ForeignOrigin => (
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "A page of another origin may not open a WebSocket here.",
        ),
        ForwardError::NoTunnel => (StatusCode::FORBIDDEN, "no-upgrade", "This address takes no WebSockets."),
        ForwardError::UpgradeBody => {
            (StatusCode::BAD_REQUEST, "bad-request", "A request that switches protocols has no body.")
        }
        ForwardError::BodyTimeout => {
            (StatusCode::REQUEST_TIMEOUT, "timeout", "The request's body came too slowly.")
        }
    };
    Shown { status, kind, detail: detail.to_owned() }
}

/// An answer without a page: where no site is known, nobody's looks apply.
#[must_use]
pub fn plain(shown: &Shown, reference: &str) -> Response<Body> {
    let mut answer = Response::new(Body::full(format!("{}\nReference: {reference}\n", shown.detail)));
    *answer.status_mut() = shown.status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
