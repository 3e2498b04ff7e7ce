//! The body type of every answer, and the few answers that are given before the gate is asked.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Buf;
use bytes::Bytes;
use http::header;
use http::{HeaderValue, StatusCode};
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};

use super::BoxError;
use super::stamps::{InFlight, Tick};
use super::takers::Kept;
use super::takers::Taker;

/// The most that is handed to HTTP/2 at once: what a frame holds where nothing else was agreed. What is handed out is
/// kept, a stream, until the visitor takes it.
const HTTP2_PIECE: usize = 16 * 1024;

/// The most that is handed to HTTP/1 at once; it is copied, and kept until the visitor takes it.
const HTTP1_PIECE: usize = 64 * 1024;

/// A body of ours, or the gate's. Holds the mark that its request is still running.
pub(super) struct Reply<B> {
    content: Content<B>,
    /// What is left of a piece of the gate's that was too large.
    rest: Bytes,
    /// How the answer is taken; `None` on HTTP/1, where the socket says it.
    taken: Option<(Rc<Taker>, Tick)>,
    _running: InFlight,
}

enum Content<B> {
    Own(Option<Bytes>),
    Gate(B),
}

/// The gate's answer, marked as running until it is sent.
pub(super) fn from_gate<B>(
    response: Response<B>,
    running: InFlight,
    taken: Option<(Rc<Taker>, Tick)>,
) -> Response<Reply<B>> {
    response.map(|body| Reply { content: Content::Gate(body), rest: Bytes::new(), taken, _running: running })
}

/// An answer of our own: a line of plain text that is not kept anywhere.
pub(super) fn own<B>(
    response: Response<&'static str>,
    running: InFlight,
    taken: Option<(Rc<Taker>, Tick)>,
) -> Response<Reply<B>> {
    response.map(|text| {
        let content = Content::Own((!text.is_empty()).then(|| Bytes::from_static(text.as_bytes())));
        Reply { content, rest: Bytes::new(), taken, _running: running }
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

impl<B> Reply<B> {
    /// As much of the data as is handed out at once; the rest is kept for the next time.
    fn piece(&mut self, mut bytes: Bytes) -> Piece {
        let most = if self.taken.is_some() { HTTP2_PIECE } else { HTTP1_PIECE };
        if bytes.len() > most {
            self.rest = bytes.split_off(most);
        }
        Piece { bytes, _kept: self.taken.as_ref().map(|(taker, _)| Kept::new(taker)) }
    }
}

/// A piece of an answer, which knows when it is gone: HTTP/2 keeps what a stream's window does not let through.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    /// `None` on HTTP/1.
    _kept: Option<Kept>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Reply<B> {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        if let Some((taker, _)) = &self.taken {
            taker.asks();
        }
        let frame = if self.rest.is_empty() {
            match &mut self.content {
                Content::Own(text) => match text.take() {
                    Some(text) => Frame::data(text),
                    None => return Poll::Ready(None),
                },
                Content::Gate(body) => match Pin::new(body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => frame,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                },
            }
        } else {
            Frame::data(std::mem::take(&mut self.rest))
        };
        if let Some((taker, tick)) = &self.taken {
            taker.has(tick.now());
        }
        Poll::Ready(Some(Ok(frame.map_data(|data| self.piece(data)))))
    }

    fn is_end_stream(&self) -> bool {
        if !self.rest.is_empty() {
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
