//! The bytes of one connection, stamped for the sweep and read along by the sniffer.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::Permit;
use super::sniff::Sniffer;
use super::socket::Socket;
use super::stamps::{Order, Stamps};

/// An HTTP/2 preface and the head of the first frame.
const PREFACE: usize = 24 + 9;

/// A socket with what belongs to its connection; after an upgrade it lives on in the tunnel. Where what was written may
/// be lost, it closes without sending it: the kernel would keep megabytes for a visitor that reads nothing, for minutes.
#[derive(Debug)]
pub(super) struct Stream {
    /// `None` once it was taken out.
    held: Option<(Socket, Permit)>,
    stamps: Arc<Stamps>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Http1 { sniffer: Sniffer, heads: u64, broken: bool },
    Http2 { preface_left: usize },
}

impl Stream {
    /// For HTTP/1, from the beginning of a request.
    pub fn http1(socket: Socket, stamps: Arc<Stamps>, permit: Permit) -> Self {
        stamps.found_bad(0);
        let reader = Reader::Http1 { sniffer: Sniffer::new(), heads: 0, broken: false };
        Self { held: Some((socket, permit)), stamps, reader }
    }

    pub fn http2(socket: Socket, stamps: Arc<Stamps>, permit: Permit) -> Self {
        Self { held: Some((socket, permit)), stamps, reader: Reader::Http2 { preface_left: PREFACE } }
    }

    /// The socket and the right to it, without what was for HTTP.
    pub fn into_socket(mut self) -> Option<(Socket, Permit)> {
        self.held.take()
    }

    fn tried_to_write(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.stamps.write_waits(),
            Poll::Ready(_) => self.stamps.wrote(),
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.held
            .as_mut()
            .map(|(socket, _)| Pin::new(socket))
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // In another protocol the tunnel sees to a proper end.
        if self.stamps.order() == Order::Abort
            && !self.stamps.is_switched()
            && let Some((socket, _)) = &self.held
        {
            socket.forget_written();
        }
    }
}

impl Reader {
    /// Reads along; how many of the bytes may be read by others.
    fn took(&mut self, bytes: &[u8], stamps: &Stamps) -> usize {
        match self {
            Self::Http1 { sniffer, heads, broken } => {
                let seen = sniffer.feed(bytes);
                *broken = seen.broken.is_some();
                if let Some(at) = seen.first_bad {
                    stamps.found_bad(*heads + at);
                }
                *heads += seen.heads;
                if seen.heads > 0 {
                    stamps.head_ends();
                }
                if sniffer.in_head() || (sniffer.is_lost() && seen.heads == 0 && !stamps.is_busy()) {
                    stamps.head_begins();
                }
                return seen.broken.unwrap_or(bytes.len());
            }
            Self::Http2 { preface_left } if *preface_left > 0 => {
                *preface_left = preface_left.saturating_sub(bytes.len());
                if *preface_left == 0 {
                    stamps.head_ends();
                }
            }
            Self::Http2 { .. } => {}
        }
        bytes.len()
    }

    fn is_broken(&self) -> bool {
        matches!(self, Self::Http1 { broken: true, .. })
    }

    fn waits(&self, stamps: &Stamps) {
        if let Self::Http1 { sniffer, .. } = self {
            stamps.rests(sniffer.at_rest());
            if sniffer.in_body() && stamps.is_busy() {
                stamps.body_waits();
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.reader.is_broken() {
            let why = "the end of this body can be read in more than one way";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        let before = buf.filled().len();
        let result = this.socket()?.poll_read(cx, buf);
        if this.stamps.is_switched() {
            // Another protocol: what it says is no request, whatever it looks like.
            return result;
        }
        let taken = buf.filled().get(before..).unwrap_or_default();
        if !taken.is_empty() {
            this.stamps.rests(false);
            this.stamps.body_moves();
            let good = this.reader.took(taken, &this.stamps);
            if good == 0 && this.reader.is_broken() {
                buf.set_filled(before);
                return Pin::new(this).poll_read(cx, buf);
            }
            buf.set_filled(before + good);
        } else if result.is_pending() {
            this.reader.waits(&this.stamps);
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.socket()?.poll_write(cx, buf);
        this.tried_to_write(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.socket()?.poll_write_vectored(cx, bufs);
        this.tried_to_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.held.as_ref().is_some_and(|(socket, _)| socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.socket()?.poll_flush(cx);
        if result.is_pending() {
            this.stamps.write_waits();
        } else {
            this.stamps.wrote();
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.socket()?.poll_shutdown(cx);
        if result.is_pending() {
            this.stamps.write_waits();
        }
        result
    }
}
