//! One connection from accept to end: handshake, HTTP/1 or HTTP/2 by ALPN, requests to the gate.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_rustls::TlsAcceptor;

use super::BoxError;
use super::Handle;
use super::framing;
use super::guard::LocalExecutor;
use super::limits::Limits;
use super::limits::Permit;
use super::limits::count;
use super::redirect;
use super::reply;
use super::reply::Reply;
use super::stream::Socket;
use super::stream::Stream;
use super::sweep::{Order, Stamps};
use super::worker::Core;

/// How often a silent HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));

/// Resets that an HTTP/2 client may cause before the connection ends (CVE-2023-44487 and its kin).
const RESETS: usize = 20;

/// Smallest buffer that hyper takes; heads are bounded by `max_header_size` besides.
const MIN_BUFFER: usize = 8192;

/// Who is at the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(SocketAddr),
    /// A process on this machine, by a Unix socket.
    Unix,
}

/// What the gate learns about a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The other end of the socket; a proxy's, where there is one.
    pub peer: Peer,
    /// The port the visitor connected to; 0 for Unix sockets.
    pub local_port: u16,
    /// Whether this socket speaks TLS.
    pub secure: bool,
    /// Whether this connection speaks HTTP/2.
    pub http2: bool,
}

/// An accepted socket on its way to HTTP.
pub(super) struct Arrived {
    pub socket: Socket,
    pub peer: Peer,
    pub local_port: u16,
    pub secure: bool,
    /// Where plain requests are sent instead of the gate.
    pub https_port: Option<u16>,
    pub permit: Permit,
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handle>(core: Rc<Core<H>>, arrived: Arrived) {
    let stamps = Stamps::new(&core.tick);
    let _entry = core.register.enter(Arc::clone(&stamps));
    let Arrived { socket, peer, local_port, secure, https_port, permit } = arrived;
    let (socket, http2) = if secure {
        let handshake = handshake(&core, socket);
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = cut(&stamps) => None,
        };
        let Some(shaken) = shaken else { return };
        stamps.head_begins_anew();
        shaken
    } else {
        (socket, false)
    };
    let about = Connection { peer, local_port, secure, http2 };
    let first_bad = Arc::new(AtomicU64::new(0));
    let desk = Rc::new(Desk {
        core: Rc::clone(&core),
        about,
        https_port,
        stamps: Arc::clone(&stamps),
        first_bad,
        requests: Cell::new(0),
    });
    let service = service_fn({
        let desk = Rc::clone(&desk);
        move |request| {
            let desk = Rc::clone(&desk);
            async move { Ok::<_, BoxError>(desk.answer(request).await) }
        }
    });
    let limits = &core.shared.limits;
    let result = if http2 {
        let io = TokioIo::new(Stream::http2(socket, Arc::clone(&stamps), permit));
        let executor = LocalExecutor(Arc::clone(&core.shared));
        drive(http2_builder(limits, executor).serve_connection(io, service), &stamps).await
    } else {
        let bad = Arc::clone(&desk.first_bad);
        let io = TokioIo::new(Stream::http1(socket, Arc::clone(&stamps), permit, bad));
        drive(http1_builder(limits).serve_connection(io, service).with_upgrades(), &stamps).await
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

async fn handshake<H: Handle>(core: &Core<H>, socket: Socket) -> Option<(Socket, bool)> {
    let config = core.tls.borrow().clone()?;
    let Socket::Tcp(tcp) = socket else { return None };
    match TlsAcceptor::from(config).accept(tcp).into_fallible().await {
        Ok(tls) => {
            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            Some((Socket::Tls(Box::new(tls)), http2))
        }
        Err((error, _socket)) => {
            count(&core.shared.counters.handshakes_failed);
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// Waits for the order to cut; a handshake cannot be finished any sooner than it finishes.
async fn cut(stamps: &Stamps) {
    while stamps.order().await != Order::Cut {}
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The sweep watches times; hyper's timers cost more and miss bodies.
    builder
        .half_close(false)
        .header_read_timeout(None)
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .writev(false);
    builder
}

fn http2_builder(limits: &Limits, executor: LocalExecutor) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

/// Polls a connection to its end, and passes on what the sweep orders.
async fn drive<C: Ends>(connection: C, stamps: &Stamps) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased;
            order = stamps.order() => match order {
                Order::Finish => connection.as_mut().finish(),
                Order::Cut => return Ok(()),
            },
            result = connection.as_mut() => return result,
        }
    }
}

/// A connection that can be asked to end.
trait Ends: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Ends for http1::UpgradeableConnection<I, S>
where
    I: Read + Write + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error = BoxError> + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Ends for http2::Connection<I, S, LocalExecutor>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error = BoxError> + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Where one connection's requests are looked at and handed on.
struct Desk<H: Handle> {
    core: Rc<Core<H>>,
    about: Connection,
    https_port: Option<u16>,
    stamps: Arc<Stamps>,
    /// Number, from one, of the first request that the sniffer found bad; zero: none.
    first_bad: Arc<AtomicU64>,
    requests: Cell<u64>,
}

impl<H: Handle> Desk<H> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Reply<H::Body>> {
        let running = self.stamps.run();
        if let Some(fault) = self.fault(&request) {
            count(&self.core.shared.counters.bad_requests);
            return reply::own(fault.answer(request.version() == Version::HTTP_2), running);
        }
        let (gate, worker) = self.core.current();
        if let Some(port) = self.https_port {
            let answer =
                redirect::answer(request.uri(), request.headers(), port, |host| gate.knows_host(host));
            return reply::own(answer, running);
        }
        reply::from_gate(gate.handle(worker, &self.about, request).await, running)
    }

    fn fault(&self, request: &Request<Incoming>) -> Option<framing::Fault> {
        // Requests of an HTTP/1 connection arrive here one after the other, in the order of the bytes.
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let first_bad = self.first_bad.load(Relaxed);
        if first_bad != 0 && number >= first_bad {
            return Some(framing::Fault::Head);
        }
        framing::check(request.method(), request.uri(), request.version(), request.headers()).err()
    }
}
