//! Leaves HTTP: asks the app to switch protocols on an HTTP/1.1 connection of its own, and joins both sides when it does.
//! A WebSocket that came over HTTP/2 is asked for as HTTP/1.1 does it (RFC 8441 §5). Judges nobody.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;
use http::response;
use hyper::body::Body as _;
use hyper::body::Incoming;

use super::ForwardError;
use super::Proxy;
use super::Visit;
use super::cookies;
use super::handling;
use super::hop;
use super::incoming;
use super::outgoing::Original;
use super::stream::Stream;
use super::tunnel::Before;
use super::tunnel::Tunnel;
use super::upgrade::Wish;
use super::upload::Upload;
use crate::policy::Handling;
use crate::policy::Permitted;
use crate::policy::Target;

static ACCEPT: HeaderName = header::SEC_WEBSOCKET_ACCEPT;
static KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the app said.
pub enum Switched {
    /// It would not, and answered.
    No(Response<Stream>),
    /// It did; the answer is to be sent, then the tunnel runs.
    Yes(Response<()>, Tunnel),
}

impl Proxy {
    /// Asks the app to switch to what `wish` names, which the route must admit.
    ///
    /// # Errors
    /// As [`Proxy::forward`]; and a request with a body does not switch.
    pub async fn switch(
        &self,
        permitted: &Permitted,
        target: &Target,
        wish: &Wish,
        mut request: Request<Incoming>,
        visit: Visit<'_>,
    ) -> Result<Switched, ForwardError> {
        if !request.body().is_end_stream() {
            return Err(ForwardError::UpgradeBody);
        }
        let visitor = hyper::upgrade::on(&mut request);
        let (mut head, _empty) = request.into_parts();
        let kept = std::mem::take(&mut head.extensions);
        let key = wish.is_by_connect().then(|| STANDARD.encode(self.random.bytes::<16>()));
        let mut outgoing = self.asking(permitted, target, wish, key.as_deref(), head, &visit)?;

        let (limits, handling) = (&permitted.route().limits, &permitted.route().handling);
        let mut fresh = self.open_http1(permitted.upstream(), limits).await?;
        fresh.set_host(&mut outgoing, &handling.host);
        let asked = fresh.ask(outgoing, None, limits.response_timeout).await;
        let (head, body) = asked.map_err(|unanswered| unanswered.error)?.into_parts();
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            refused(wish, &head)?;
            let stream =
                Stream::new(body, fresh.into_link(), permitted.app().clone(), None, limits.idle_timeout);
            return Ok(Switched::No(incoming(head, stream, &Method::GET, &visit, handling)));
        }
        agrees(wish, key.as_deref(), &head.headers)?;
        let (app, early, busy) = fresh.into_socket().await?;
        let answer = answer(wish, head, &visit, handling);
        let (scratch, mask) = (self.scratch.clone(), self.random.bytes());
        let frames = wish.is_websocket();
        let before = Before { visitor, app, early, frames, scratch, mask, kept, busy };
        Ok(Switched::Yes(answer, Tunnel::new(before)))
    }

    /// The request as the app gets it: as any other, and the wish.
    fn asking(
        &self,
        permitted: &Permitted,
        target: &Target,
        wish: &Wish,
        key: Option<&str>,
        mut head: request::Parts,
        visit: &Visit<'_>,
    ) -> Result<Request<Upload>, ForwardError> {
        if wish.is_by_connect() {
            head.method = Method::GET;
        }
        let original = Original { permitted, target, head: &head, visit };
        let mut outgoing = self.outgoing(&original, Upload::none())?;
        *outgoing.version_mut() = Version::HTTP_11;
        let headers = outgoing.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, wish.protocol().clone());
        if let Some(key) = key {
            let key = HeaderValue::from_str(key).map_err(|_| ForwardError::UpgradeBody)?;
            headers.insert(&KEY, key);
        }
        Ok(outgoing)
    }
}

/// Whether an answer other than 101 can be passed on. To CONNECT every success would mean that the tunnel stands.
fn refused(wish: &Wish, head: &response::Parts) -> Result<(), ForwardError> {
    if head.status.is_informational() || (wish.is_by_connect() && head.status.is_success()) {
        return Err(ForwardError::Broken("it did not switch to the WebSocket that was asked for".to_owned()));
    }
    Ok(())
}

/// Whether a 101 is one to what was asked: the protocol, and over HTTP/2 the proof, which nobody else could check.
fn agrees(wish: &Wish, key: Option<&str>, headers: &HeaderMap) -> Result<(), ForwardError> {
    let mut named = headers.get_all(header::UPGRADE).iter();
    let same = named.next().is_some_and(|protocol| wish.is(protocol.as_bytes())) && named.next().is_none();
    let proven = key.is_none_or(|key| {
        let mut text = key.as_bytes().to_vec();
        text.extend_from_slice(GUID);
        let proof = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text));
        headers.get(&ACCEPT).is_some_and(|accept| accept.as_bytes() == proof.as_bytes())
    });
    if same && proven {
        return Ok(());
    }
    Err(ForwardError::Broken("it switched to something that nobody asked for".to_owned()))
}

/// The answer as the visitor gets it.
fn answer(wish: &Wish, head: response::Parts, visit: &Visit<'_>, handling: &Handling) -> Response<()> {
    let mut answer = Response::new(());
    *answer.headers_mut() = head.headers;
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    hop::strip(headers);
    cookies::clean_answer(headers, visit.cookies);
    handling::answer(headers, handling);
    if wish.is_by_connect() {
        headers.remove(&ACCEPT);
    } else {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, wish.protocol().clone());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    answer
}
