//! The bytes of one connection: plain, Unix or TLS, stamped for the sweep and read along by the sniffer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::limits::Permit;
use super::sniff::Sniffer;
use super::sweep::Stamps;

/// An HTTP/2 preface and the head of the first frame.
const PREFACE: usize = 24 + 9;

/// A socket of any kind.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket with what belongs to its connection; after an upgrade it lives on in the tunnel.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    stamps: Arc<Stamps>,
    reader: Reader,
    _permit: Permit,
}

#[derive(Debug)]
enum Reader {
    Http1 { sniffer: Sniffer, heads: u64, first_bad: Arc<AtomicU64> },
    Http2 { preface_left: usize },
}

impl Stream {
    /// For HTTP/1; `first_bad` becomes the number, from one, of the first request that must be refused.
    pub fn http1(socket: Socket, stamps: Arc<Stamps>, permit: Permit, first_bad: Arc<AtomicU64>) -> Self {
        let reader = Reader::Http1 { sniffer: Sniffer::new(), heads: 0, first_bad };
        Self { socket, stamps, reader, _permit: permit }
    }

    pub fn http2(socket: Socket, stamps: Arc<Stamps>, permit: Permit) -> Self {
        Self { socket, stamps, reader: Reader::Http2 { preface_left: PREFACE }, _permit: permit }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.stamps.write_waits(),
            Poll::Ready(_) => self.stamps.wrote(),
        }
    }
}

impl Reader {
    fn took(&mut self, bytes: &[u8], stamps: &Stamps) {
        match self {
            Self::Http1 { sniffer, heads, first_bad } => {
                let seen = sniffer.feed(bytes);
                if let Some(at) = seen.first_bad {
                    first_bad.store(*heads + at, Relaxed);
                }
                *heads += seen.heads;
                if seen.heads > 0 {
                    stamps.head_ends();
                }
                if sniffer.in_head() || (sniffer.is_lost() && seen.heads == 0 && !stamps.is_busy()) {
                    stamps.head_begins();
                }
            }
            Self::Http2 { preface_left } if *preface_left > 0 => {
                *preface_left = preface_left.saturating_sub(bytes.len());
                if *preface_left == 0 {
                    stamps.head_ends();
                }
            }
            Self::Http2 { .. } => {}
        }
    }

    fn in_body(&self) -> bool {
        matches!(self, Self::Http1 { sniffer, .. } if sniffer.in_body())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Tls(socket) => Pin::new(socket.as_mut()).poll_read(cx, buf),
        };
        let taken = buf.filled().get(before..).unwrap_or_default();
        if !taken.is_empty() {
            this.stamps.body_moves();
            this.reader.took(taken, &this.stamps);
        } else if result.is_pending() && this.reader.in_body() && this.stamps.is_busy() {
            this.stamps.body_waits();
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Socket::Tls(socket) => Pin::new(socket.as_mut()).poll_write(cx, buf),
        };
        this.wrote(&result);
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tls(socket) => Pin::new(socket.as_mut()).poll_flush(cx),
        };
        if result.is_pending() {
            this.stamps.write_waits();
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(socket) => Pin::new(socket.as_mut()).poll_shutdown(cx),
        };
        if result.is_pending() {
            this.stamps.write_waits();
        }
        result
    }
}
