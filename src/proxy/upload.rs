//! The visitor's body on its way to the app: counted, watched for progress, its trailers cleaned. Never waits for more
//! than there is.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use tokio::time::Instant;

use super::ForwardError;
use super::error::chain;
use super::kept::Kept;
use super::patience::Patience;
use super::trailers;
use crate::policy::App;

/// What the upload tells the one who waits for the answer.
pub(super) struct Flow {
    /// When the body last moved.
    pub(super) moved: Cell<Instant>,
    /// True while the visitor, not the app, is to blame for a pause.
    pub(super) waiting: Cell<bool>,
    /// Whether the app has got all of it, or will get no more.
    pub(super) ended: Cell<bool>,
    /// Why the upload ended early; `None`: it did not.
    failure: Cell<Option<ForwardError>>,
    /// Nobody waits for the answer any more.
    stopped: Cell<bool>,
    /// Whom to wake to see that.
    reader: Cell<Option<Waker>>,
}

impl Flow {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            moved: Cell::new(Instant::now()),
            waiting: Cell::new(false),
            ended: Cell::new(false),
            failure: Cell::new(None),
            stopped: Cell::new(false),
            reader: Cell::new(None),
        })
    }

    /// The answer is over: what is still to come is not sent. On a connection of its own that ends the connection; on a
    /// shared one it has to be said.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Takes the reason for which the upload ended early.
    pub(super) fn failure(&self) -> Option<ForwardError> {
        self.failure.take()
    }
}

/// A request's body as the upstream's connection reads it.
pub(super) struct Upload(Option<Turn>);

/// One reader of a body. A later one reads from the beginning again, and ends the earlier.
struct Turn {
    number: u32,
    flowing: Rc<RefCell<Flowing>>,
}

struct Flowing {
    body: Incoming,
    flow: Rc<Flow>,
    app: Arc<App>,
    /// `None`: any size.
    left: Option<u64>,
    patience: Patience,
    /// hyper reads an HTTP/2 reset without error as an end; only a true end may end what we send on.
    http2: bool,
    ended: bool,
    /// The number of the reader who counts.
    turn: u32,
    /// What was sent, for the next reader; `None`: too much was sent, or nobody will want it.
    kept: Option<Kept>,
}

/// The upload was cut; the reason is in [`Flow`].
#[derive(Debug)]
pub(super) struct Cut(
    /// The word for it in HTTP/2.
    h2::Error,
);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the visitor's body was cut")
    }
}

impl std::error::Error for Cut {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Upload {
    /// No body.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// # Errors
    /// [`ForwardError::BodyTooLarge`] when the declared length says so already.
    pub(super) fn new(
        body: Incoming,
        http2: bool,
        max: Option<u64>,
        pause: Duration,
        app: &Arc<App>,
    ) -> Result<Self, ForwardError> {
        if body.is_end_stream() {
            return Ok(Self(None));
        }
        if max.is_some_and(|max| body.size_hint().lower() > max) {
            return Err(ForwardError::BodyTooLarge);
        }
        let flow = Flow::new();
        let patience = Patience::new(pause);
        let app = Arc::clone(app);
        let (ended, turn, kept) = (false, 0, None);
        let flowing = Flowing { body, flow, app, left: max, patience, http2, ended, turn, kept };
        Ok(Self(Some(Turn { number: 0, flowing: Rc::new(RefCell::new(flowing)) })))
    }

    /// The same body for another try, should it be needed; this one keeps what it sends until then. To be called before
    /// anything was read.
    pub(super) fn again(&self) -> Self {
        Self(self.0.as_ref().map(|turn| {
            turn.flowing.borrow_mut().kept.get_or_insert_default();
            Turn { number: turn.number + 1, flowing: Rc::clone(&turn.flowing) }
        }))
    }

    /// Whether all that was sent can be sent anew.
    pub(super) fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|turn| turn.flowing.borrow().kept.is_some())
    }

    /// There is an answer: what was sent is not needed any more.
    pub(super) fn settle(&self) {
        if let Some(turn) = &self.0 {
            turn.flowing.borrow_mut().kept = None;
        }
    }

    /// What the body tells; `None` where there is no body.
    pub(super) fn flow(&self) -> Option<Rc<Flow>> {
        self.0.as_ref().map(|turn| Rc::clone(&turn.flowing.borrow().flow))
    }
}

impl Flowing {
    fn cut(&mut self, why: ForwardError) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.ended = true;
        self.flow.failure.set(Some(why));
        Poll::Ready(Some(Err(Cut(h2::Reason::CANCEL.into()))))
    }

    /// Makes room for a later reader; an earlier one gets nothing any more.
    fn admit(&mut self, number: u32) -> bool {
        if number > self.turn {
            self.turn = number;
            if let Some(kept) = &mut self.kept {
                kept.rewind();
            }
        }
        number == self.turn
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(frame) = self.kept.as_mut().and_then(Kept::next) {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if self.flow.stopped.get() {
            return self.cut(ForwardError::Broken("it answered before it had everything".to_owned()));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                // The clock of a pause starts when we first have to wait for the visitor, not while the app is slow.
                if !self.flow.waiting.replace(true) {
                    self.flow.moved.set(Instant::now());
                }
                self.flow.reader.set(Some(cx.waker().clone()));
                return match self.patience.poll(cx, self.flow.moved.get()) {
                    Poll::Ready(()) => self.cut(ForwardError::BodyTimeout),
                    Poll::Pending => Poll::Pending,
                };
            }
        };
        self.flow.waiting.set(false);
        self.flow.moved.set(Instant::now());
        match frame {
            None if self.http2 && !self.body.is_end_stream() => {
                self.cut(ForwardError::VisitorBody("the stream was reset".to_owned()))
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => self.cut(ForwardError::VisitorBody(chain(&error))),
            Some(Ok(frame)) => self.pass(frame),
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let (Some(left), Some(data)) = (self.left, frame.data_ref()) {
            match left.checked_sub(data.len() as u64) {
                Some(left) => self.left = Some(left),
                None => return self.cut(ForwardError::BodyTooLarge),
            }
        }
        let frame = trailers::clean_request(frame, &self.app);
        if self.kept.as_mut().is_some_and(|kept| !kept.push(&frame)) {
            self.kept = None;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Drop for Flowing {
    fn drop(&mut self) {
        self.flow.ended.set(true);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(turn) = &self.0 else { return Poll::Ready(None) };
        let mut flowing = turn.flowing.borrow_mut();
        if flowing.admit(turn.number) {
            flowing.poll(cx)
        } else {
            Poll::Ready(Some(Err(Cut(h2::Reason::CANCEL.into()))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|turn| {
            let flowing = turn.flowing.borrow();
            !turn.is_due(&flowing) && (flowing.ended || flowing.body.is_end_stream())
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(
            || SizeHint::with_exact(0),
            |turn| {
                let flowing = turn.flowing.borrow();
                if turn.is_due(&flowing) { SizeHint::default() } else { flowing.body.size_hint() }
            },
        )
    }
}

impl Turn {
    /// Whether something is to be sent anew first.
    fn is_due(&self, flowing: &Flowing) -> bool {
        self.number > flowing.turn || flowing.kept.as_ref().is_some_and(Kept::is_due)
    }
}
