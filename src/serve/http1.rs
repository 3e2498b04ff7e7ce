//! HTTP/1 on one connection: hyper from the first byte of a request until nobody asks anything any more, then the bare
//! socket again. hyper keeps some 20 KiB for a connection, and knows nothing between two requests that is worth them.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::BoxError;
use super::Handle;
use super::desk::Desk;
use super::limits::Limits;
use super::limits::Permit;
use super::limits::count;
use super::socket::Socket;
use super::stamps::Order;
use super::stream::Stream;

/// So many headers hyper takes by itself.
const HYPER_HEADERS: usize = 100;

/// Smallest buffer that hyper takes; heads are bounded by `max_header_size` besides.
const MIN_BUFFER: usize = 8192;

/// Serves requests; returns the socket when the connection was parked, `None` when it is over.
pub(super) async fn run<H: Handle>(
    desk: Desk<H>,
    socket: Socket,
    permit: Permit,
) -> Option<(Socket, Permit)> {
    let (core, stamps) = (Rc::clone(desk.core()), Arc::clone(desk.stamps()));
    let desk = Rc::new(desk);
    let service = service_fn(move |request| {
        let desk = Rc::clone(&desk);
        async move { Ok::<_, BoxError>(desk.answer(request, None).await) }
    });
    // A connection that is to end serves what has arrived, once.
    let mut ending = stamps.order() == Order::Finish;
    let mut builder = builder(&core.shared.limits);
    builder.keep_alive(!ending);
    let io = TokioIo::new(Stream::http1(socket, Arc::clone(&stamps), permit));
    let mut connection = builder.serve_connection(io, service).with_upgrades();
    let result = poll_fn(|cx| {
        match stamps.order() {
            Order::Nothing => {}
            Order::Park if stamps.may_park() => return Poll::Ready(None),
            Order::Park => stamps.parked(),
            Order::Finish if ending => {}
            Order::Finish => {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Order::Cut | Order::Abort => return Poll::Ready(Some(Ok(()))),
        }
        Pin::new(&mut connection).poll(cx).map(Some)
    })
    .await;
    match result {
        None => {
            stamps.parked();
            count(&core.shared.counters.parked);
            let parts = connection.into_parts()?;
            // Empty lines before the next request may be there; anything else contradicts the stamps.
            let clean = parts.read_buf.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if clean { parts.io.into_inner().into_socket() } else { None }
        }
        Some(Ok(())) => None,
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection ended with an error");
            None
        }
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper keeps room for its own number on the stack, and fills in any other one by one.
    if limits.max_headers != HYPER_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    // The sweep watches times; hyper's timers cost more and miss bodies.
    builder
        .half_close(false)
        .header_read_timeout(None)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .writev(false);
    builder
}
