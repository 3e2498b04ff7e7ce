//! The app's body on its way to the visitor. Carries the upstream's connection with it: at its end the connection goes
//! back to the pool; an error or a drop closes it. Never buffers, never turns a break into a clean end.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use tokio::time::Instant;

use super::ForwardError;
use super::connect::Version;
use super::error::chain;
use super::link::Link;
use super::patience::Patience;
use super::trailers;
use super::upload::Flow;
use crate::policy::App;

/// The body of a forwarded answer.
pub struct Stream {
    body: Incoming,
    /// `None` once the connection went back or was closed.
    link: Option<Link>,
    app: Arc<App>,
    /// The visitor's body, which may still be flowing.
    flow: Option<Rc<Flow>>,
    patience: Patience,
    /// When it was first found that there is no next piece yet; `None`: there was one.
    waiting: Option<Instant>,
    ended: bool,
}

type Piece = Option<Result<Frame<Bytes>, ForwardError>>;

impl Stream {
    pub(super) fn new(
        body: Incoming,
        link: Link,
        app: Arc<App>,
        flow: Option<Rc<Flow>>,
        idle: Duration,
    ) -> Self {
        let patience = Patience::new(idle);
        let ended = body.is_end_stream();
        let mut stream = Self { body, link: Some(link), app, flow, patience, waiting: None, ended };
        if ended {
            stream.give_back();
        }
        stream
    }

    fn give_back(&mut self) {
        self.ended = true;
        if let Some(link) = self.link.take() {
            link.give_back(self.flow.as_deref());
        }
        self.stop_upload();
    }

    fn fail(&mut self, error: ForwardError) -> Poll<Piece> {
        self.ended = true;
        self.link = None;
        let cause = self.flow.as_ref().and_then(|flow| flow.failure());
        self.stop_upload();
        Poll::Ready(Some(Err(cause.unwrap_or(error))))
    }

    fn is_shared(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.version() == Version::Http2)
    }

    fn stop_upload(&self) {
        if let Some(flow) = &self.flow {
            flow.stop();
        }
    }

    /// The next piece: what has arrived already, else what the connection brings when it is driven.
    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let body = &mut self.body;
        let Some(link) = &mut self.link else { return Pin::new(body).poll_frame(cx) };
        let piece = link.pull(cx, |cx| Pin::new(&mut *body).poll_frame(cx));
        if piece.is_pending() && link.is_over() {
            self.link = None;
        }
        piece
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if self.link.is_none() {
            return self.fail(ForwardError::Broken("the connection ended within the body".to_owned()));
        }
        let mut since = *self.waiting.get_or_insert_with(Instant::now);
        if let Some(flow) = &self.flow {
            if flow.waiting.get() {
                return Poll::Pending;
            }
            since = since.max(flow.moved.get());
        }
        match self.patience.poll(cx, since) {
            Poll::Ready(()) => self.fail(ForwardError::ResponseTimeout),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop_upload();
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = ForwardError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.pull(cx) {
            Poll::Pending => self.wait(cx),
            // hyper reads an HTTP/2 reset without error as an end; only a true end may end what we send on.
            Poll::Ready(None) if !self.body.is_end_stream() && self.is_shared() => {
                self.fail(ForwardError::Broken("it reset the stream within the body".to_owned()))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => self.fail(ForwardError::Broken(chain(&error))),
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                if self.body.is_end_stream() || frame.is_trailers() {
                    self.give_back();
                }
                Poll::Ready(Some(Ok(trailers::clean_answer(frame, &self.app))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
