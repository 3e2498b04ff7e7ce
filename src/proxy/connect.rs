//! From an endpoint to an open socket: TCP, Unix or TLS, within the time given. Never sends a byte of a request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ForwardError;
use super::connectors::ConnectorError;
use super::health::Vitals;
use super::tls;
use super::tls::Configs;
use crate::policy::Address;
use crate::policy::Endpoint;
use crate::policy::Protocol;

/// An open connection to an app, before anybody spoke HTTP on it.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The HTTP that a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// One endpoint with everything that is needed to connect to it. Shared by all workers.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) endpoint: Endpoint,
    /// Its own `host[:port]`, without the scheme's usual port.
    pub(super) host: HeaderValue,
    pub(super) vitals: Vitals,
    tls: Option<(Configs, ServerName<'static>)>,
}

impl Line {
    pub(super) fn new(
        endpoint: &Endpoint,
        tls: Option<Configs>,
        server_name: Option<&str>,
    ) -> Result<Self, ConnectorError> {
        let tls = match (tls, &endpoint.address) {
            (Some(configs), Address::Tcp { host, .. }) => {
                let name = server_name.unwrap_or(host);
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| ConnectorError::ServerName(name.to_owned()))?;
                Some((configs, name))
            }
            _ => None,
        };
        Ok(Self { endpoint: endpoint.clone(), host: authority(endpoint)?, vitals: Vitals::new(), tls })
    }

    /// Connects, looking up the name anew each time. `http1`: whatever the app prefers, HTTP/1.1 is to be spoken.
    pub(super) async fn connect(
        &self,
        http1: bool,
        limit: Duration,
    ) -> Result<(Socket, Version), ForwardError> {
        timeout(limit, self.connect_at_leisure(http1)).await.map_err(|_| ForwardError::ConnectTimeout)?
    }

    /// As [`Line::connect`], without a limit of its own.
    pub(super) async fn connect_at_leisure(&self, http1: bool) -> Result<(Socket, Version), ForwardError> {
        let refused = |error: io::Error| {
            if is_ours(&error) {
                tracing::error!(%error, "no connection to an app can be opened; raise LimitNOFILE of the unit");
                return ForwardError::Full;
            }
            ForwardError::Refused(io::Error::new(error.kind(), format!("{}: {error}", self.endpoint)))
        };
        let socket = match &self.endpoint.address {
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await.map_err(refused)?),
            Address::Tcp { host, port } => {
                let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(refused)?;
                // Requests are written whole; waiting for more would only delay them.
                tcp.set_nodelay(true).map_err(refused)?;
                match &self.tls {
                    None => Socket::Tcp(tcp),
                    Some((configs, name)) => return self.shake_hands(tcp, configs, name, http1).await,
                }
            }
        };
        let version = match self.endpoint.protocol {
            Protocol::H2c if !http1 => Version::Http2,
            Protocol::H2c | Protocol::Http | Protocol::Https => Version::Http1,
        };
        Ok((socket, version))
    }

    /// Whether TLS is spoken there.
    pub(super) const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        configs: &Configs,
        name: &ServerName<'static>,
        http1: bool,
    ) -> Result<(Socket, Version), ForwardError> {
        let config = if http1 { &configs.http1 } else { &configs.any };
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp);
        let stream = connecting.await.map_err(|error| {
            let why = tls::explain(&error).unwrap_or_else(|| {
                format!("it broke the TLS handshake off ({error}); is https spoken on that port?")
            });
            ForwardError::Tls(format!("{}: {why}", self.endpoint))
        })?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            _ => Version::Http1,
        };
        Ok((Socket::Tls(Box::new(stream)), version))
    }
}

/// What the app would be called in a browser: `host[:port]`; a Unix socket is `localhost`.
/// Whether it is we who lack something: no descriptor is left (`EMFILE`, `ENFILE`), or no port (`EADDRNOTAVAIL`).
fn is_ours(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 99))
}

fn authority(endpoint: &Endpoint) -> Result<HeaderValue, ConnectorError> {
    let text = match &endpoint.address {
        Address::Unix(_) => "localhost".to_owned(),
        Address::Tcp { host, port } => {
            let usual = if endpoint.protocol == Protocol::Https { 443 } else { 80 };
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            if *port == usual { host } else { format!("{host}:{port}") }
        }
    };
    HeaderValue::try_from(&text).map_err(|_| ConnectorError::ServerName(text))
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Unix(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
