//! One HTTP/2 connection to an app, shared by many requests of one worker. A task of its own drives it, so that no
//! reader, however slow, delays another; whoever leaves resets the own stream only.

use std::cell::Cell;
use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use http::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::ForwardError;
use super::connect::Socket;
use super::patience::Patience;
use super::upload::Flow;
use super::upload::Upload;
use super::upstream::Unanswered;
use crate::policy::Endpoint;

/// Requests on one connection at once; beyond it another connection is opened.
const MOST_STREAMS: u32 = 100;
/// What an app may send on one stream before the visitor has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Room for all streams at once: with less, those whose visitors read slowly would use it up and stop the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS;
/// What is kept of an upload that the app does not take.
const SEND_BUFFER: usize = 256 * 1024;
/// The header of an answer, unpacked.
const HEADER_LIST: u32 = 64 * 1024;
/// Silence on an open stream before the app is asked for a sign of life. Servers of gRPC hang up on those who ask more
/// often than every five minutes.
const PING_AFTER: Duration = Duration::from_secs(310);
/// How long that sign may take.
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// An upload that the app has not taken a piece of for so long may hold up others behind it.
const CLOGGED: Duration = Duration::from_millis(250);

/// Runs hyper's futures on the worker's own runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local;

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

type Connection = http2::Connection<TokioIo<Greeted>, Upload, Local>;

/// A connection that requests share.
pub(super) struct Shared {
    sender: http2::SendRequest<Upload>,
    /// Asked how many streams the app takes; driven by a task of its own. `None` once it has ended.
    connection: Rc<RefCell<Option<Connection>>>,
    /// Requests under way.
    streams: Cell<u32>,
    /// Uploads under way, and some that have ended.
    uploads: RefCell<Vec<Weak<Flow>>>,
    /// The app takes no more requests here.
    leaving: Cell<bool>,
    /// When the last request ended.
    since: Cell<Instant>,
}

impl Shared {
    /// Speaks HTTP/2 on a fresh socket. Returns when the app has done so too, so that how many streams it takes is
    /// known, and nothing is sent to one that speaks something else.
    pub(super) async fn begin(socket: Socket, endpoint: &Endpoint) -> Result<Rc<Self>, ForwardError> {
        let greeting = Rc::new(Greeting::default());
        let io = Greeted { socket, greeting: Rc::clone(&greeting) };
        let (sender, connection) = http2::Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_PATIENCE)
            // Counted over a whole connection, and every frame that comes late for a visitor who left counts: at the
            // limit the connection would end for everybody on it.
            .max_local_error_reset_streams(None::<usize>)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| ForwardError::broken(&error))?;
        let connection = Rc::new(RefCell::new(Some(connection)));
        tokio::task::spawn_local(drive(Rc::clone(&connection), Rc::clone(&greeting)));
        if let Some(why) = poll_fn(|cx| greeting.poll(cx)).await.fault() {
            return Err(ForwardError::Broken(format!("{endpoint}: {why}")));
        }
        Ok(Rc::new(Self {
            sender,
            connection,
            streams: Cell::new(0),
            uploads: RefCell::default(),
            leaving: Cell::new(false),
            since: Cell::new(Instant::now()),
        }))
    }

    /// Whether new requests may go here at all.
    pub(super) fn is_open(&self) -> bool {
        !self.leaving.get() && self.connection.borrow().is_some() && !self.sender.is_closed()
    }

    /// Whether one more request may go here now. With an upload: whether no other one is stuck here, for those behind it
    /// wait for the same window.
    pub(super) fn has_room(&self, upload: bool) -> bool {
        let allowed = self.connection.borrow().as_ref().map_or(0, Connection::current_max_send_streams);
        self.is_open()
            && usize::try_from(self.streams.get()).is_ok_and(|streams| streams < allowed)
            && self.streams.get() < MOST_STREAMS
            && !(upload && self.is_clogged())
    }

    /// Whether it is to be kept: open, and in use or used within `max_age`.
    pub(super) fn is_good(&self, max_age: Duration) -> bool {
        self.is_open() && (self.streams.get() > 0 || self.since.get().elapsed() < max_age)
    }

    fn is_clogged(&self) -> bool {
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|flow| flow.upgrade().is_some_and(|flow| !flow.ended.get()));
        let stuck = |flow: &Weak<Flow>| {
            flow.upgrade().is_some_and(|flow| !flow.waiting.get() && flow.moved.get().elapsed() > CLOGGED)
        };
        uploads.iter().any(stuck)
    }
}

/// One request's place on a shared connection.
pub(super) struct Lane(Rc<Shared>);

impl Lane {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get().saturating_add(1));
        Self(Rc::clone(shared))
    }

    /// Sends a request and waits for the answer's headers, `limit` at most since the request's body last moved.
    pub(super) async fn ask(
        &self,
        request: Request<Upload>,
        flow: Option<&Rc<Flow>>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        if let Some(flow) = flow {
            self.0.uploads.borrow_mut().push(Rc::downgrade(flow));
        }
        let start = Instant::now();
        let mut patience = Patience::new(limit);
        let mut sender = self.0.sender.clone();
        let mut answer = pin!(sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(outcome));
            }
            if flow.is_some_and(|flow| flow.waiting.get()) {
                return Poll::Pending;
            }
            let since = flow.map_or(start, |flow| flow.moved.get());
            patience.poll(cx, since).map(|()| Err(ForwardError::ResponseTimeout))
        })
        .await;
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                let (silent, unseen) = (is_silent(failed.error()), is_unseen(failed.error()));
                if unsent.is_some() || silent || unseen {
                    self.0.leaving.set(true);
                }
                Err(Unanswered { error: ForwardError::broken(failed.error()), unsent, silent, unseen })
            }
            // A time-out is no hang-up: the app may be at work on it.
            Err(error) => Err(Unanswered { error, unsent: None, silent: false, unseen: false }),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.since.set(Instant::now());
    }
}

/// Lets hyper hand requests out until the connection is over.
async fn drive(connection: Rc<RefCell<Option<Connection>>>, greeting: Rc<Greeting>) {
    poll_fn(|cx| {
        let mut slot = connection.borrow_mut();
        let Some(connection) = slot.as_mut() else { return Poll::Ready(()) };
        // Whoever asked learns why from the own answer.
        let _ = ready!(Pin::new(connection).poll(cx));
        *slot = None;
        Poll::Ready(())
    })
    .await;
    // Where even writing failed, nothing was read.
    greeting.hear(&[]);
}

/// Whether the app said that it never looked at the request: it refused the stream, or is going away (RFC 9113 §8.7).
fn is_unseen(error: &hyper::Error) -> bool {
    let refused = |h2: &h2::Error| h2.reason() == Some(h2::Reason::REFUSED_STREAM) && h2.is_reset();
    let mut below = error.source();
    while let Some(cause) = below {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return h2.is_remote() && (h2.is_go_away() || refused(h2));
        }
        below = cause.source();
    }
    false
}

/// Whether the connection broke, whatever the app had seen by then.
fn is_silent(error: &hyper::Error) -> bool {
    let mut below = error.source();
    while let Some(cause) = below {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return h2.is_io() || h2.is_go_away();
        }
        if cause.is::<io::Error>() {
            return true;
        }
        below = cause.source();
    }
    error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

/// What the app said first.
#[derive(Default)]
struct Greeting {
    heard: Cell<Option<Heard>>,
    waiting: Cell<Option<Waker>>,
}

#[derive(Clone, Copy)]
enum Heard {
    Http2,
    Http1,
    Nothing,
}

impl Heard {
    /// `None`: HTTP/2 it is.
    const fn fault(self) -> Option<&'static str> {
        match self {
            Self::Http2 => None,
            Self::Http1 => Some("it speaks HTTP/1.1 and not HTTP/2 there; write http:// in `upstream`"),
            Self::Nothing => {
                Some("it hung up when HTTP/2 was spoken; write http:// in `upstream` if it speaks HTTP/1.1")
            }
        }
    }
}

impl Greeting {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        if let Some(heard) = self.heard.get() {
            return Poll::Ready(heard);
        }
        self.waiting.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn hear(&self, first: &[u8]) {
        if self.heard.get().is_some() {
            return;
        }
        let heard = if first.is_empty() {
            Heard::Nothing
        } else if first.starts_with(b"HTTP/1") {
            Heard::Http1
        } else {
            Heard::Http2
        };
        self.heard.set(Some(heard));
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// A socket that hears the first words of the other end.
struct Greeted {
    socket: Socket,
    greeting: Rc<Greeting>,
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buf);
        if outcome.is_ready() {
            self.greeting.hear(buf.filled().get(before..).unwrap_or_default());
        }
        outcome
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
