//! The one body type of every answer. Never boxes what comes from an app.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body as HttpBody;
use hyper::body::Frame;
use hyper::body::SizeHint;

use super::again::Ask;
use super::open::Kind;
use super::open::Line;
use super::open::Place;
use super::open::Register;
use crate::proxy::Hold;
use crate::proxy::Stream;

/// An answer's body.
pub enum Body {
    /// Known whole.
    Full(Full<Bytes>),
    /// From our own pages.
    Own(axum::body::Body),
    /// Streamed from an app.
    Upstream(Watched),
}

/// What a body fails with; hyper only breaks the connection off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// An app's body, which comes into the register of what is open when it takes its time.
pub struct Watched {
    stream: Stream,
    /// What it takes to come into the register; `None`: it never will, or has.
    ready: Option<Ready>,
    seat: Option<(Place, Rc<Hold>)>,
    /// Bytes so far; counted until it is watched.
    passed: usize,
}

/// What an answer is judged by once it is in the register.
pub struct Ready {
    /// Where it will be watched.
    pub register: Register,
    /// What was asked.
    pub ask: Box<Ask>,
    /// The number of the gate that let it pass.
    pub judged_by: u64,
    /// How to break it off.
    pub line: Line,
}

/// A longer answer is watched even if its app is never waited for: its visitor may be slow. Bytes.
const SMALL: usize = 64 * 1024;

/// Who asked may not have the rest.
#[derive(Debug)]
struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session has ended")
    }
}

impl std::error::Error for Ended {}

impl Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some((_, hold)) = &self.seat {
            if hold.order().is_some() {
                return Poll::Ready(Some(Err(Ended.into())));
            }
            hold.attend(cx);
        }
        let polled = Pin::new(&mut self.stream).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.passed = self.passed.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        }
        if (polled.is_pending() || self.passed > SMALL)
            && let Some(ready) = self.ready.take()
        {
            let Ready { register, ask, judged_by, line } = ready;
            let (place, hold) = register.enter(ask, judged_by, Some(line), Kind::Answer);
            hold.attend(cx);
            self.seat = Some((place, hold));
        }
        polled.map_err(Into::into)
    }
}

impl Body {
    /// From an app, to be watched if it takes its time.
    #[must_use]
    pub fn watched(stream: Stream, ready: impl FnOnce() -> Ready) -> Self {
        let ready = (!stream.is_end_stream()).then(ready);
        Self::Upstream(Watched { stream, ready, seat: None, passed: 0 })
    }

    /// A body known whole.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Full::new(bytes.into()))
    }

    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Upstream(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
            Self::Upstream(body) => body.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
            Self::Upstream(body) => body.stream.size_hint(),
        }
    }
}
