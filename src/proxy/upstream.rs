//! One HTTP/1 connection to an app: driving it, and knowing whether it may serve again. Whoever holds it polls it;
//! dropping it closes the socket, so that the app learns at once that nobody listens any more.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::ForwardError;
use super::bell::Bell;
use super::connect::Socket;
use super::patience::Patience;
use super::upload::Flow;
use super::upload::Upload;

/// What an app may say before an answer's head is whole: the longest head that hyper takes, as much of a body behind it,
/// and interim answers (1xx). hyper drops these one by one, and would do nothing else for an app that sends no end of
/// them.
const MOST_BEFORE_HEAD: usize = 1024 * 1024;

/// An open connection with nobody else on it.
pub(super) struct Live {
    sender: http1::SendRequest<Upload>,
    driven: Driven,
    heard: Rc<Heard>,
    /// For the answers' heads, one after the other.
    patience: Patience,
}

/// Why no answer came.
pub(super) struct Unanswered {
    pub(super) error: ForwardError,
    /// The request, when not a byte of it was written.
    pub(super) unsent: Option<Request<Upload>>,
    /// The connection ended before a byte of an answer.
    pub(super) silent: bool,
    /// The app said that it never looked at the request.
    pub(super) unseen: bool,
}

impl Live {
    /// Speaks HTTP/1.1 on a fresh socket.
    pub(super) async fn begin(socket: Socket) -> Result<Box<Self>, ForwardError> {
        let heard = Rc::new(Heard::default());
        let socket = Listening { socket, heard: Rc::clone(&heard) };
        let (sender, connection) = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| ForwardError::broken(&error))?;
        let driven = Driven { connection, ended: false, bell: Bell::new() };
        Ok(Box::new(Self { sender, driven, heard, patience: Patience::new(Duration::MAX) }))
    }

    /// Sends a request and waits for the answer's headers, `limit` at most since the request's body last moved.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        flow: Option<&Flow>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.heard.begin();
        let start = Instant::now();
        let Self { sender, driven, patience, .. } = self;
        patience.set_limit(limit);
        // The connection is driven right after.
        let mut answer = pin!(driven.bell.muted(|| sender.try_send_request(request)));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = driven.pump(cx, |cx| answer.as_mut().poll(cx)) {
                return Poll::Ready(Ok(outcome));
            }
            if driven.ended {
                return Poll::Ready(Err(ForwardError::Broken("the connection ended".to_owned())));
            }
            if flow.is_some_and(|flow| flow.waiting.get()) {
                return Poll::Pending;
            }
            let since = flow.map_or(start, |flow| flow.moved.get());
            patience.poll(cx, since).map(|()| Err(ForwardError::ResponseTimeout))
        })
        .await;
        self.heard.awaited.set(false);
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = ForwardError::broken(failed.error());
                Err(Unanswered { error, unsent, silent: self.heard.bytes.get() == 0, unseen: false })
            }
            // A time-out is no hang-up: the app may be at work on it.
            Err(error) => Err(Unanswered { error, unsent: None, silent: false, unseen: false }),
        }
    }

    /// Looks for a piece of the answer, and lets the connection read and write where there is none yet.
    pub(super) fn pull<T>(
        &mut self,
        cx: &Context<'_>,
        look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.driven.pump(cx, look)
    }

    /// Whether the connection has ended, well or not.
    pub(super) const fn is_over(&self) -> bool {
        self.driven.ended
    }

    /// The bare socket, after the app has switched protocols, and what was read of it beyond the answer.
    pub(super) async fn into_socket(mut self: Box<Self>) -> Result<(Socket, Bytes), ForwardError> {
        let Driven { connection, ended, .. } = &mut self.driven;
        if !*ended {
            let end = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
            end.map_err(|error| ForwardError::broken(&error))?;
        }
        let parts = self.driven.connection.into_parts();
        Ok((parts.io.into_inner().socket, parts.read_buf))
    }

    /// Nobody waits for it for the time being.
    pub(super) fn rest(&mut self) {
        self.driven.bell.leave();
    }

    /// Whether the connection is whole, quiet and waits for a request: nothing unread, nothing unsent.
    pub(super) fn is_free(&mut self) -> bool {
        self.driven.settle();
        !self.driven.ended && self.sender.is_ready()
    }
}

/// A connection, and how it calls whoever holds it.
struct Driven {
    connection: http1::Connection<TokioIo<Listening>, Upload>,
    /// hyper's future must not be polled after its end.
    ended: bool,
    bell: Bell,
}

impl Driven {
    /// Looks for something, drives the connection, and looks again. What is looked for comes by nobody else.
    fn pump<T>(&mut self, cx: &Context<'_>, mut look: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.bell.attend(cx);
        let mut unheard = Context::from_waker(Waker::noop());
        let Self { connection, ended, bell } = self;
        // Whoever takes what is there already makes room for more, and comes back for it.
        let found = bell.aside(|| look(&mut unheard));
        if found.is_ready() {
            return found;
        }
        let found = bell.muted(|| {
            drive(connection, ended, bell);
            look(&mut unheard)
        });
        if found.is_pending() && bell.rang() {
            cx.waker().wake_by_ref();
        }
        found
    }

    /// Reads and writes what there is, where anything may have happened since the last time.
    fn settle(&mut self) {
        let Self { connection, ended, bell } = self;
        if bell.rang() {
            bell.muted(|| drive(connection, ended, bell));
        }
    }
}

fn drive(connection: &mut http1::Connection<TokioIo<Listening>, Upload>, ended: &mut bool, bell: &Bell) {
    if !*ended {
        *ended = bell.look(|cx| Pin::new(connection).poll(cx)).is_ready();
    }
}

/// What came in since the last request was handed over.
#[derive(Default)]
struct Heard {
    bytes: Cell<usize>,
    /// Whether a head is awaited.
    awaited: Cell<bool>,
}

impl Heard {
    fn begin(&self) {
        self.bytes.set(0);
        self.awaited.set(true);
    }
}

/// A socket that remembers how much was said to it, and has enough of it at some time.
struct Listening {
    socket: Socket,
    heard: Rc<Heard>,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let heard = self.heard.bytes.get();
        if self.heard.awaited.get() && heard > MOST_BEFORE_HEAD {
            return Poll::Ready(Err(io::Error::other("there is no end of what comes before its head")));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.heard.bytes.set(heard.saturating_add(buf.filled().len().saturating_sub(before)));
        outcome
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
