//! What an answer holds on to while it comes: the connection that brings it, counted at its endpoint.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http::uri;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use hyper::body::Body as _;
use hyper::body::Incoming;

use super::ForwardError;
use super::balance::Busy;
use super::connect::Line;
use super::connect::Socket;
use super::connect::Version;
use super::h2::Lane;
use super::hop;
use super::upload::Flow;
use super::upload::Upload;
use super::upstream::Live;
use super::upstream::Unanswered;
use crate::policy::UpstreamHost;

/// What carries one request.
pub(super) enum Held {
    Http1(Box<Live>),
    Http2(Lane),
}

/// A connection in use. Dropping it closes an HTTP/1 connection, and resets an HTTP/2 stream only.
pub(super) struct Link {
    held: Held,
    busy: Busy,
}

impl Link {
    pub(super) const fn new(held: Held, busy: Busy) -> Self {
        Self { held, busy }
    }

    pub(super) const fn version(&self) -> Version {
        match self.held {
            Held::Http1(_) => Version::Http1,
            Held::Http2(_) => Version::Http2,
        }
    }

    /// Sends a request and waits for the answer's headers, `limit` at most since the request's body last moved.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        flow: Option<&Rc<Flow>>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        match &mut self.held {
            Held::Http1(live) => live.ask(request, flow.map(Rc::as_ref), limit).await,
            Held::Http2(lane) => lane.ask(request, flow, limit).await,
        }
    }

    /// Looks for a piece of the answer, and lets the connection read and write where there is none yet; one that is
    /// shared is driven by a task of its own, and tells of its end by the answer's body.
    pub(super) fn pull<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.held {
            Held::Http1(live) => live.pull(cx, look),
            Held::Http2(_) => look(cx),
        }
    }

    /// Whether nothing more can come.
    pub(super) const fn is_over(&self) -> bool {
        match &self.held {
            Held::Http1(live) => live.is_over(),
            Held::Http2(_) => false,
        }
    }

    /// After the end of an answer: the connection may serve again, unless it still sends a body that nobody waits for.
    pub(super) fn give_back(self, flow: Option<&Flow>) {
        if let Held::Http1(mut live) = self.held
            && (flow.is_none_or(|flow| flow.ended.get()) || live.is_free())
        {
            self.busy.backend().put(live);
        }
    }
}

/// A new HTTP/1.1 connection on which nobody has asked anything yet: for requests that want to `Upgrade`.
pub(super) struct Fresh {
    live: Box<Live>,
    busy: Busy,
}

impl Fresh {
    pub(super) const fn new(live: Box<Live>, busy: Busy) -> Self {
        Self { live, busy }
    }

    /// Sets `Host` as the route wishes, for the endpoint that was chosen.
    pub(super) fn set_host(&self, request: &mut Request<Upload>, wish: &UpstreamHost) {
        set_host(request, wish, &self.busy.backend().line);
    }

    /// Sends a request and waits for the answer's headers, `limit` at most since the request's body last moved.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        flow: Option<&Flow>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.live.ask(request, flow, limit).await
    }

    /// After a 101: the socket, what was read of it beyond the answer's head, and the count of what is under way, which
    /// is to be kept until the tunnel ends.
    pub(super) async fn into_socket(self) -> Result<(Socket, Bytes, Busy), ForwardError> {
        let (socket, read) = self.live.into_socket().await?;
        Ok((socket, read, self.busy))
    }

    /// After any other answer: it goes its usual way.
    pub(super) fn into_link(self) -> Link {
        Link::new(Held::Http1(self.live), self.busy)
    }
}

/// Sets `Host` as the route wishes. The visitor's, which is there already, stays where nothing else is wished.
pub(super) fn set_host(request: &mut Request<Upload>, wish: &UpstreamHost, line: &Line) {
    if let Some(host) = host(wish, line) {
        request.headers_mut().insert(header::HOST, host.clone());
    }
}

/// `None`: the visitor's.
fn host<'a>(wish: &'a UpstreamHost, line: &'a Line) -> Option<&'a HeaderValue> {
    match wish {
        UpstreamHost::Visitor => None,
        UpstreamHost::Upstream => Some(&line.host),
        UpstreamHost::Fixed(host) => Some(host),
    }
}

/// Puts a request into the form of the version that is spoken there. May be called again, for another endpoint.
/// `visitor`: the `Host` that the visitor asked for.
pub(super) fn dress(
    request: &mut Request<Upload>,
    version: Version,
    line: &Line,
    wish: &UpstreamHost,
    visitor: Option<&HeaderValue>,
) -> Result<(), ForwardError> {
    let host = host(wish, line).or(visitor).cloned();
    let path = request.uri().path_and_query().cloned();
    match version {
        Version::Http1 => {
            let was_http2 = request.uri().authority().is_some();
            let unframed =
                !request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_LENGTH);
            if let (true, Some(path)) = (was_http2, path) {
                *request.uri_mut() = Uri::from(path);
            }
            let headers = request.headers_mut();
            if let Some(host) = host {
                headers.insert(header::HOST, host);
            }
            if was_http2 && unframed {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            if was_http2 && headers.contains_key(header::TE) {
                hop::offer_trailers(headers);
            }
        }
        Version::Http2 => {
            let scheme = if line.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
            let uri = host.and_then(|host| absolute(scheme, &host, path));
            *request.uri_mut() =
                uri.ok_or_else(|| ForwardError::Broken("its host cannot stand in an address".to_owned()))?;
            // What one connection is told, and what `:authority` says already (RFC 9113 §8.2.2, §8.3.1).
            let headers = request.headers_mut();
            for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
                headers.remove(name);
            }
        }
    }
    Ok(())
}

/// An address as HTTP/2 wants it; `None`: these make none.
pub(super) fn absolute(scheme: Scheme, host: &HeaderValue, path: Option<PathAndQuery>) -> Option<Uri> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    parts.path_and_query = Some(path.unwrap_or(const { PathAndQuery::from_static("/") }));
    Uri::from_parts(parts).ok()
}
