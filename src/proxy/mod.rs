//! Passes what policy permitted on to the app, and the app's answer back. Decides nothing about who may pass, keeps
//! no session, writes no error page. One [`Proxy`] a worker; nothing here crosses threads.

mod balance;
mod bell;
#[cfg(feature = "bench")]
mod bench;
mod connect;
mod connectors;
mod cookies;
mod crowd;
mod error;
mod exchange;
mod fold;
mod forwarded;
mod frames;
mod h2;
mod handling;
mod health;
mod hop;
mod identity;
mod kept;
mod link;
mod open;
mod outgoing;
mod patience;
mod pool;
mod preface;
mod reach;
mod stream;
mod switch;
mod tls;
mod trailers;
mod tunnel;
mod upgrade;
mod upload;
mod upstream;
mod way;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;
use http::response;
use hyper::body::Body as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

pub use connectors::ConnectorError;
pub use connectors::Connectors;
pub use cookies::others as other_cookies;
pub use error::ForwardError;
pub use fold::is_disguised;
pub use handling::{basic_user, kept_from_answers, kept_from_requests, stripped};
pub use health::Checks;
pub use identity::IdentityHeaderValues;
pub use open::Hold;
pub use open::Order;
pub use open::Tenths;
pub use stream::Stream;
pub use switch::Switched;
pub use tunnel::Tunnel;
pub use upgrade::Wish;

use crate::identity::CookieNames;
use crate::policy::Handling;
use crate::policy::Permitted;
use crate::policy::Target;
use crate::random::Random;
use balance::Dice;
use balance::Group;
use connectors::Addresses;
use crowd::Crowd;
use outgoing::Original;
use pool::Sweeper;
use preface::Prefaces;
use upload::Upload;
use way::Scratch;

/// What a worker's proxy is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a connection to an app may lie idle before it is closed.
    pub pool_idle: Duration,
    /// Idle connections kept for each upstream, by each worker; 0: none.
    pub max_idle_per_upstream: usize,
    /// Requests and tunnels under way at once to all upstreams, by each worker; who is one too many gets an error.
    pub max_under_way: usize,
    /// Our name in `Via`: a token.
    pub via_name: String,
    /// How long a visitor's body may stand still.
    pub body_timeout: Duration,
    /// The upstreams of the configuration in force.
    pub connectors: Arc<Connectors>,
}

/// What the gate knows of one request beyond the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The visitor, behind all trusted hops.
    pub client: IpAddr,
    /// The `X-Forwarded-For` chain to extend, from trusted peers only.
    pub forwarded_for: Option<&'a str>,
    /// Whether the visitor came by https.
    pub secure: bool,
    /// `host[:port]` as configured.
    pub host: &'a HeaderValue,
    /// The port that the visitor came to.
    pub port: &'a HeaderValue,
    /// Names the request in logs, ours and the app's.
    pub request_id: &'a HeaderValue,
    /// Our cookies on this host.
    pub cookies: &'a CookieNames,
    /// Who asks, in the form of this route; `None`: unknown, every header is sent empty.
    pub identity: Option<&'a Rc<IdentityHeaderValues>>,
    /// `Authorization` held our token: it is not the app's to see.
    pub consumed_authorization: bool,
    /// `Linkgate-Assertion`; `None`: sent empty.
    pub assertion: Option<&'a HeaderValue>,
}

/// The way from one worker to all apps. Lives on a `LocalRuntime`.
pub struct Proxy {
    groups: Vec<Group>,
    /// From an upstream's address in memory to its group.
    numbers: Addresses,
    dice: Dice,
    prefaces: Prefaces,
    crowd: Rc<Crowd>,
    body_timeout: Duration,
    scratch: Scratch,
    random: Random,
}

impl Proxy {
    /// A proxy without connections.
    #[must_use]
    pub fn new(settings: &Settings, random: &Random) -> Self {
        let crowd = Crowd::new(settings.max_under_way);
        let sweeper = Sweeper::new(settings.pool_idle, settings.max_idle_per_upstream);
        let connectors = &settings.connectors;
        Self {
            groups: connectors
                .all()
                .iter()
                .map(|connector| Group::new(connector, &sweeper, &crowd))
                .collect(),
            numbers: connectors.numbers(),
            dice: Dice::new(u64::from_ne_bytes(random.bytes())),
            prefaces: Prefaces::new(&settings.via_name),
            crowd,
            body_timeout: settings.body_timeout,
            scratch: Scratch::default(),
            random: random.clone(),
        }
    }

    /// Forwards a permitted request, body and all, and returns as soon as the answer's headers are there. Dropping the
    /// future or the answer closes the connection to the app. `head` is `body`'s, and stays as it is.
    ///
    /// # Errors
    /// [`ForwardError`] says who is at fault; the app may have seen the request.
    pub async fn forward(
        &self,
        permitted: &Permitted,
        target: &Target,
        head: &request::Parts,
        body: Incoming,
        visit: Visit<'_>,
    ) -> Result<Response<Stream>, ForwardError> {
        let (route, app) = (permitted.route(), permitted.app());
        let http2 = head.version == Version::HTTP_2;
        let upload = Upload::new(body, http2, route.limits.max_body, self.body_timeout, app)?;
        let flow = upload.flow();

        let original = Original { permitted, target, head, visit: &visit };
        let outgoing = self.outgoing(&original, upload)?;
        let (link, answer) = self.exchange(&original, outgoing, flow.as_ref()).await?;
        let (head_back, body) = answer.into_parts();
        if head_back.status.is_informational() {
            return Err(ForwardError::Broken("it switched protocols unasked".to_owned()));
        }
        let stream = Stream::new(body, link, app.clone(), flow, route.limits.idle_timeout);
        Ok(incoming(head_back, stream, &head.method, &visit, &route.handling))
    }
}

/// The app's answer as the visitor gets it.
fn incoming(
    mut head: response::Parts,
    stream: Stream,
    method: &Method,
    visit: &Visit<'_>,
    handling: &Handling,
) -> Response<Stream> {
    let mut answer = Response::new(stream);
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    if let Some(phrase) = head.extensions.remove::<ReasonPhrase>() {
        answer.extensions_mut().insert(phrase);
    }
    let headers = answer.headers_mut();
    let length = headers.remove(header::CONTENT_LENGTH);
    hop::strip(headers);
    cookies::clean_answer(headers, visit.cookies);
    handling::answer(headers, handling);
    frame_answer(&mut answer, length, method);
    answer
}

/// Frames the answer anew. Where there can be no body, the length describes what a GET would bring and is kept.
fn frame_answer(answer: &mut Response<Stream>, length: Option<HeaderValue>, method: &Method) {
    let status = answer.status();
    let described = *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let length = if status == StatusCode::NO_CONTENT {
        None
    } else if described {
        length.filter(|value| value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok()))
    } else {
        // The app's own spelling where it is the one we would use.
        let exact = answer.body().size_hint().exact();
        exact.map(|exact| {
            length.filter(|said| spells(said, exact)).unwrap_or_else(|| HeaderValue::from(exact))
        })
    };
    if let Some(length) = length {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
}

/// Whether a field value is this number, in digits alone.
fn spells(value: &HeaderValue, number: u64) -> bool {
    let digits = value.as_bytes();
    let plain = digits.iter().all(u8::is_ascii_digit) && (digits.first() != Some(&b'0') || number == 0);
    plain && value.to_str().is_ok_and(|text| text.parse() == Ok(number))
}
