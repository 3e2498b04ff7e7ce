//! One connection from accept to end: who announces it, handshake, HTTP/1 or HTTP/2 by ALPN. While it waits for its
//! visitor it holds the socket, the right to it, and no buffer.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::Handle;
use super::announce;
use super::desk::Desk;
use super::http1;
use super::http2;
use super::limits::Permit;
use super::limits::count;
use super::line::Line;
use super::socket::Socket;
use super::stamps::{Order, Stamps};
use super::worker::Core;

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
    /// The other end of the socket, or whom it announced by the PROXY protocol; a proxy's, where there is one.
    pub peer: Peer,
    /// The port the visitor connected to; 0 for Unix sockets.
    pub local_port: u16,
    /// Whether this socket speaks TLS.
    pub secure: bool,
    /// Whether this connection speaks HTTP/2.
    pub http2: bool,
    /// What carries the answer.
    pub line: Line,
}

/// An accepted socket on its way to HTTP.
pub(super) struct Arrived {
    pub socket: Socket,
    pub peer: Peer,
    pub local_port: u16,
    pub secure: bool,
    /// Whether the peer must begin with a PROXY header.
    pub announces: bool,
    /// Where plain requests are sent instead of the gate.
    pub https_port: Option<u16>,
    pub permit: Permit,
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handle>(core: Rc<Core<H>>, mut arrived: Arrived) {
    let stamps = Stamps::new(&core.tick);
    let enter = |stamps: &Arc<Stamps>| {
        let (core, stamps) = (Rc::clone(&core), Arc::clone(stamps));
        poll_fn(move |cx| Poll::Ready(core.register.enter(Arc::clone(&stamps), cx.waker().clone())))
    };
    let _entry = enter(&stamps).await;
    // A silent visitor costs no more than its socket.
    if !readable(&stamps, |cx| arrived.socket.poll_first(cx)).await {
        return;
    }
    if arrived.announces {
        let announced = Box::pin(until_cut(announced(&core, arrived), &stamps)).await;
        let Some(visitor) = announced.flatten() else { return };
        arrived = visitor;
        stamps.head_begins_anew();
    }
    let Arrived { mut socket, peer, local_port, secure, https_port, mut permit, .. } = arrived;
    let line = Line { stamps: Arc::clone(&stamps), taker: None };
    let mut about = Connection { peer, local_port, secure, http2: false, line };
    if secure {
        let shaken = Box::pin(until_cut(handshake(&core, socket), &stamps)).await;
        let Some((shaken, http2)) = shaken.flatten() else { return };
        stamps.head_begins_anew();
        (socket, about.http2) = (shaken, http2);
    }
    let desk = |about: &Connection| Desk::new(&core, about.clone(), https_port, &stamps);
    if about.http2 {
        return Box::pin(http2::run(desk(&about), socket, permit)).await;
    }
    loop {
        // On the heap for as long as it is needed: what waits for the next request should be small.
        let Some(parked) = Box::pin(http1::run(desk(&about), socket, permit)).await else { return };
        (socket, permit) = parked;
        if !readable(&stamps, |cx| socket.poll_next(cx)).await {
            return close(socket, &stamps).await;
        }
    }
}

/// Waits until there is something to read; false when the connection is to end instead.
async fn readable(stamps: &Stamps, poll: impl Fn(&mut Context<'_>) -> Poll<io::Result<()>>) -> bool {
    poll_fn(|cx| {
        let readable = poll(cx).is_ready();
        match stamps.order() {
            Order::Cut | Order::Abort => Poll::Ready(false),
            // What has arrived is served; who never asked anything may be about to, and is cut a little later.
            Order::Finish if !readable && stamps.is_used() => Poll::Ready(false),
            _ if readable => Poll::Ready(true),
            _ => Poll::Pending,
        }
    })
    .await
}

/// The output of `future`, unless the connection is cut before.
async fn until_cut<F: Future>(future: F, stamps: &Stamps) -> Option<F::Output> {
    let cut = poll_fn(|_| if stamps.order() >= Order::Cut { Poll::Ready(()) } else { Poll::Pending });
    tokio::select! {
        biased;
        () = cut => None,
        output = future => Some(output),
    }
}

/// Says goodbye as HTTP would.
async fn close(mut socket: Socket, stamps: &Stamps) {
    // A visitor that left before hears nothing of it.
    let _ = until_cut(socket.shutdown(), stamps).await;
}

/// The visitor in its proxy's place; `None`, when the proxy says nothing we understand or the visitor has too many
/// connections.
async fn announced<H: Handle>(core: &Core<H>, arrived: Arrived) -> Option<Arrived> {
    let Arrived { mut socket, peer, local_port, permit, .. } = arrived;
    match announce::read(&mut socket).await {
        Ok(Some(visitor)) => {
            let permit = permit.for_client(visitor.peer.ip())?;
            let (peer, local_port) = (Peer::Ip(visitor.peer), visitor.local_port);
            Some(Arrived { socket, peer, local_port, permit, ..arrived })
        }
        Ok(None) => Some(Arrived { socket, peer, local_port, permit, ..arrived }),
        Err(error) => {
            count(&core.shared.counters.announcements_refused);
            tracing::debug!(%error, "a peer that must speak the PROXY protocol did not");
            None
        }
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
