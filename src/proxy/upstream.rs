//! One HTTP/1 connection to an app: driving it, and knowing whether it may serve again. Whoever holds it polls it;
//! dropping it closes the socket, so that the app learns at once that nobody listens any more.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
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
use super::connect::Socket;
use super::patience::Patience;
use super::upload::Flow;
use super::upload::Upload;

/// An open connection with nobody else on it.
pub(super) struct Live {
    sender: http1::SendRequest<Upload>,
    connection: Connection,
    /// Whether a byte came in since the last request was handed over.
    heard: Rc<Cell<bool>>,
    /// hyper's future must not be polled after its end.
    ended: bool,
    bell: Bell,
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
        let heard = Rc::new(Cell::new(false));
        let socket = Listening { socket, heard: Rc::clone(&heard) };
        let (sender, connection) = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| ForwardError::broken(&error))?;
        Ok(Box::new(Self { sender, connection, heard, ended: false, bell: Bell::new() }))
    }

    /// Sends a request and waits for the answer's headers, `limit` at most since the request's body last moved.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        flow: Option<&Flow>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.heard.set(false);
        let start = Instant::now();
        let mut patience = Patience::new(limit);
        let Self { sender, connection, ended, bell, .. } = self;
        let mut answer = pin!(sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = pump(connection, ended, bell, cx, |cx| answer.as_mut().poll(cx)) {
                return Poll::Ready(Ok(outcome));
            }
            if *ended {
                return Poll::Ready(Err(ForwardError::Broken("the connection ended".to_owned())));
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
                let error = ForwardError::broken(failed.error());
                Err(Unanswered { error, unsent, silent: !self.heard.get(), unseen: false })
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
        pump(&mut self.connection, &mut self.ended, &mut self.bell, cx, look)
    }

    /// Whether the connection has ended, well or not.
    pub(super) const fn is_over(&self) -> bool {
        self.ended
    }

    /// The bare socket, after the app has switched protocols, and what was read of it beyond the answer.
    pub(super) async fn into_socket(mut self: Box<Self>) -> Result<(Socket, Bytes), ForwardError> {
        if !self.ended {
            let end = poll_fn(|cx| self.connection.poll_without_shutdown(cx)).await;
            end.map_err(|error| ForwardError::broken(&error))?;
        }
        let parts = self.connection.into_parts();
        Ok((parts.io.into_inner().socket, parts.read_buf))
    }

    /// Whether the connection is whole, quiet and waits for a request: nothing unread, nothing unsent.
    pub(super) fn is_free(&mut self) -> bool {
        self.bell.muted(|cx| drive(&mut self.connection, &mut self.ended, cx));
        !self.ended && self.sender.is_ready()
    }
}

type Connection = http1::Connection<TokioIo<Listening>, Upload>;

/// Looks, drives the connection, and looks again. What is looked for comes by nobody but the connection.
fn pump<T>(
    connection: &mut Connection,
    ended: &mut bool,
    bell: &mut Bell,
    cx: &Context<'_>,
    mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    bell.attend(cx);
    let mut unheard = Context::from_waker(Waker::noop());
    let found = bell.muted(|cx| {
        let found = look(&mut unheard);
        if found.is_ready() {
            return found;
        }
        drive(connection, ended, cx);
        look(&mut unheard)
    });
    if bell.rang() && found.is_pending() {
        cx.waker().wake_by_ref();
    }
    found
}

fn drive(connection: &mut Connection, ended: &mut bool, cx: &mut Context<'_>) {
    if !*ended {
        *ended = Pin::new(connection).poll(cx).is_ready();
    }
}

/// How the connection calls the task that holds it. What it says while that task is looking anyway would only make it
/// look once more for nothing: two halves of one connection wake each other whenever something passes between them.
struct Bell {
    line: Arc<Ring>,
    /// The line, as hyper takes it.
    waker: Waker,
    /// Whom the line calls.
    task: Option<Waker>,
}

#[derive(Default)]
struct Ring {
    muted: AtomicBool,
    rang: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.muted.load(Relaxed) {
            self.rang.store(true, Relaxed);
        } else if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            task.wake_by_ref();
        }
    }
}

impl Bell {
    fn new() -> Self {
        let line = Arc::<Ring>::default();
        let waker = Waker::from(Arc::clone(&line));
        Self { line, waker, task: None }
    }

    /// Calls the task of `cx` from now on.
    fn attend(&mut self, cx: &Context<'_>) {
        if self.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.line.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.task);
        }
    }

    fn muted<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> T {
        // What was said before is looked at now.
        self.line.rang.store(false, Relaxed);
        self.line.muted.store(true, Relaxed);
        let seen = look(&mut Context::from_waker(&self.waker));
        self.line.muted.store(false, Relaxed);
        seen
    }

    /// Whether it rang while it was muted.
    fn rang(&self) -> bool {
        self.line.rang.load(Relaxed)
    }
}

/// A socket that remembers whether it was spoken to.
struct Listening {
    socket: Socket,
    heard: Rc<Cell<bool>>,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.set(true);
        }
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
