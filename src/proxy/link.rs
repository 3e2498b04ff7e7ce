//! What an answer holds on to while it comes: the connection that brings it, counted at its endpoint.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::header;
use hyper::body::Incoming;

use super::ForwardError;
use super::balance::Backend;
use super::balance::Busy;
use super::connect::Line;
use super::connect::Socket;
use super::upload::Flow;
use super::upload::Upload;
use super::upstream::Live;
use super::upstream::Unanswered;
use crate::policy::UpstreamHost;

/// A connection in use. Dropping it closes an HTTP/1 connection, and resets an HTTP/2 stream only.
pub(super) struct Link {
    live: Box<Live>,
    busy: Busy,
}

impl Link {
    pub(super) const fn new(live: Box<Live>, busy: Busy) -> Self {
        Self { live, busy }
    }

    /// Lets the connection read and write. Ready when it has ended, well or not.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ForwardError>> {
        self.live.drive(cx)
    }

    /// After the end of an answer: the connection may serve again.
    pub(super) fn give_back(self) {
        self.busy.backend().put(self.live);
    }
}

/// A new HTTP/1.1 connection on which nobody has asked anything yet: for requests that want to `Upgrade`.
pub(super) struct Fresh {
    live: Box<Live>,
    busy: Busy,
}

impl Fresh {
    pub(super) fn new(live: Box<Live>, backend: Rc<Backend>) -> Self {
        Self { live, busy: Busy::new(backend) }
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
        Link::new(self.live, self.busy)
    }
}

/// Sets `Host` as the route wishes. The visitor's, which is there already, stays where nothing else is wished.
pub(super) fn set_host(request: &mut Request<Upload>, wish: &UpstreamHost, line: &Line) {
    let host: &HeaderValue = match wish {
        UpstreamHost::Visitor => return,
        UpstreamHost::Upstream => &line.host,
        UpstreamHost::Fixed(host) => host,
    };
    request.headers_mut().insert(header::HOST, host.clone());
}
