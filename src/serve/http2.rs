//! HTTP/2 on one connection, with a bound on everything that a visitor can make us keep or do.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::BoxError;
use super::Handle;
use super::desk::Desk;
use super::limits::Limits;
use super::limits::Permit;
use super::socket::Socket;
use super::stamps::Order;
use super::stream::Stream;
use super::takers::{LocalExecutor, Taker};

/// How often a silent client is asked whether it is there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));

/// Resets that a client may cause before the connection ends (CVE-2023-44487 and its kin): of what it asked just now,
/// or by its mistakes. What was heard before it was reset is counted by [`Whims`](super::takers::Whims).
const RESETS: usize = 20;

/// Frames for streams that were answered and forgotten, over a whole connection. A slow line still brings what it had
/// taken of a refused upload; at the limit the connection ends, with all that runs on it.
const LATE_FRAMES: usize = 1024;

/// Bytes of an answer that may wait for a visitor to take them, a stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of bodies that a visitor may send before they are read, a stream and in all: what a fast line holds.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Serves requests until the connection is over.
pub(super) async fn run<H: Handle>(desk: Desk<H>, socket: Socket, permit: Permit) {
    let (core, stamps) = (Rc::clone(desk.core()), Arc::clone(desk.stamps()));
    let executor = LocalExecutor {
        shared: Arc::clone(&core.shared),
        takers: Rc::clone(&core.takers),
        stamps: Arc::clone(&stamps),
        whims: Rc::default(),
        next: Rc::default(),
    };
    let desk = Rc::new(desk);
    let service = service_fn({
        let (next, whims) = (Rc::clone(&executor.next), Rc::clone(&executor.whims));
        move |request| {
            let (desk, taker) = (Rc::clone(&desk), Rc::new(Taker::default()));
            next.replace(Some(Rc::clone(&taker)));
            whims.asks();
            async move {
                let answer = desk.answer(request, Some(Rc::clone(&taker))).await;
                taker.answered();
                Ok::<_, BoxError>(answer)
            }
        }
    });
    let io = TokioIo::new(Stream::http2(socket, Arc::clone(&stamps), permit));
    let mut connection = builder(&core.shared.limits, executor).serve_connection(io, service);
    let mut ending = false;
    let result = poll_fn(|cx| {
        match stamps.order() {
            Order::Nothing | Order::Park => {}
            Order::Finish if ending => {}
            Order::Finish => {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Order::Cut | Order::Abort => return Poll::Ready(Ok(())),
        }
        Pin::new(&mut connection).poll(cx)
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

fn builder(limits: &Limits, executor: LocalExecutor) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(LATE_FRAMES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}
