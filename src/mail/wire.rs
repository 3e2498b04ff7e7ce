//! A TCP stream that hands out one line at a time, so that a reader above it never holds bytes from beyond a line.
//!
//! STARTTLS is open to injection (CVE-2021-38371 and its kin) when plain bytes sent after `220 ready` are still in a
//! buffer when TLS begins and are then taken for protected ones. Here they stay below and meet the TLS handshake, which
//! fails on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// See the module.
pub(super) struct LineByLine {
    stream: TcpStream,
    /// Read, not yet handed out.
    held: Vec<u8>,
    given: usize,
}

impl LineByLine {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new(), given: 0 }
    }
}

impl fmt::Debug for LineByLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineByLine")
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for LineByLine {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given >= this.held.len() {
            let mut fresh = [0; 4096];
            let mut read = ReadBuf::new(&mut fresh);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            this.held.clear();
            this.held.extend_from_slice(read.filled());
            this.given = 0;
        }
        let waiting = this.held.get(this.given..).unwrap_or_default();
        let line = waiting.iter().position(|b| *b == b'\n').map_or(waiting.len(), |end| end + 1);
        let part = waiting.get(..line.min(out.remaining())).unwrap_or_default();
        out.put_slice(part);
        this.given += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_read_never_crosses_a_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"220 ready\r\n250 injected\r\n\x16tls").await.unwrap();
        drop(server);
        let mut lines = LineByLine::new(client);
        let mut buffer = [0; 64];
        for line in [&b"220 ready\r\n"[..], b"250 injected\r\n", b"\x16tls", b""] {
            let read = lines.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], line);
        }
    }
}
