//! The body type of every answer, and the few answers that are given before the gate is asked.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header;
use http::{HeaderValue, StatusCode};
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};

use super::BoxError;
use super::stamps::{InFlight, Tick};
use super::takers::Taker;

/// The most that is handed to HTTP/2 at once: what a frame holds where nothing else was agreed.
const PIECE_BYTES: usize = 16 * 1024;

/// A body of ours, or the gate's. Holds the mark that its request is still running.
pub(super) struct Reply<B> {
    content: Content<B>,
    /// How the answer is taken; `None` on HTTP/1, where the socket says it.
    taken: Option<Taken>,
    _running: InFlight,
}

/// An HTTP/2 answer is handed out in small pieces: what is handed out is kept until the visitor takes it.
pub(super) struct Taken {
    taker: Rc<Taker>,
    tick: Tick,
    rest: Bytes,
}

impl Taken {
    pub fn new(taker: Rc<Taker>, tick: &Tick) -> Self {
        Self { taker, tick: tick.clone(), rest: Bytes::new() }
    }

    fn piece(&mut self, mut data: Bytes) -> Bytes {
        self.taker.has(self.tick.now());
        if data.len() > PIECE_BYTES {
            self.rest = data.split_off(PIECE_BYTES);
        }
        data
    }
}

enum Content<B> {
    Own(Option<Bytes>),
    Gate(B),
}

/// The gate's answer, marked as running until it is sent.
pub(super) fn from_gate<B>(
    response: Response<B>,
    running: InFlight,
    taken: Option<Taken>,
) -> Response<Reply<B>> {
    response.map(|body| Reply { content: Content::Gate(body), taken, _running: running })
}

/// An answer of our own: a line of plain text that is not kept anywhere.
pub(super) fn own<B>(response: Response<&'static str>, running: InFlight) -> Response<Reply<B>> {
    response.map(|text| {
        let content = Content::Own((!text.is_empty()).then(|| Bytes::from_static(text.as_bytes())));
        Reply { content, taken: None, _running: running }
    })
}

/// A plain answer with the headers that every answer of ours bears.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response<&'static str> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Reply<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(taken) = &mut self.taken {
            taken.taker.asks();
            let rest = std::mem::take(&mut taken.rest);
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(taken.piece(rest)))));
            }
        }
        let frame = match &mut self.content {
            Content::Own(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Gate(body) => Pin::new(body).poll_frame(context),
        };
        let frame = match (&mut self.taken, frame) {
            (Some(taken), Poll::Ready(Some(Ok(frame)))) => {
                Poll::Ready(Some(Ok(frame.map_data(|data| taken.piece(data)))))
            }
            (_, frame) => frame,
        };
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        if self.taken.as_ref().is_some_and(|taken| !taken.rest.is_empty()) {
            return false;
        }
        match &self.content {
            Content::Own(text) => text.is_none(),
            Content::Gate(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Content::Gate(body) => body.size_hint(),
        }
    }
}
