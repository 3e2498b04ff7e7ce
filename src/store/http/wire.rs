//! One connection to the token service: reads the records, writes them. Every answer is checked, nothing is followed,
//! nothing is read for longer or further than allowed. Never prints the token.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::ServiceAddress;
use super::document::Object;
use super::tls;
use crate::store::{HttpSettings, StoreError};

/// Far more than a service that removes what has ended ever holds: some fifty thousand links.
const LARGEST_BYTES: usize = 32 << 20;

/// What the service held at one moment.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) all: Object,
    /// Which version that was, where the service tells versions apart (a strong `ETag`, RFC 9110 §8.8.3).
    pub(super) version: Option<HeaderValue>,
}

/// What became of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The service has it.
    Done,
    /// Somebody else wrote since it was read (412): nothing was written.
    Changed,
}

/// The near end.
#[derive(Debug)]
pub(super) struct Wire {
    address: ServiceAddress,
    bearer: HeaderValue,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    kept: Option<http1::SendRequest<Full<Bytes>>>,
}

impl Wire {
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, StoreError> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", settings.token.expose()))
            .map_err(|_| StoreError::Invalid("store.token holds what no header can carry".to_owned()))?;
        bearer.set_sensitive(true);
        let address = settings.address.clone();
        let tls = if address.secure {
            let name = ServerName::try_from(address.host.clone())
                .map_err(|_| StoreError::Invalid(format!("store.url: {} is no host name", address.host)))?;
            Some((tls::config(settings.ca.as_deref())?, name))
        } else {
            None
        };
        Ok(Self { address, bearer, tls, kept: None })
    }

    /// Reads all records.
    pub(super) async fn read(&mut self, until: Instant) -> Result<Read, StoreError> {
        let (head, body) = self.exchange(Method::GET, Bytes::new(), None, until).await?;
        if head.status != StatusCode::OK {
            return Err(self.unexpected(head.status, "read"));
        }
        let all = Object::parse(&body).map_err(|error| {
            self.away(&format!(
                "what it sent is no JSON object of link records ({error}); is store.url the address of the token service?"
            ))
        })?;
        let version = head.headers.get(header::ETAG).cloned();
        // A weak one does not say that two documents are the same (RFC 9110 §13.1.1): as good as none.
        let version = version.filter(|tag| tag.as_bytes().first() == Some(&b'"'));
        Ok(Read { all, version })
    }

    /// Writes all records, if the service still holds what was read. Refuses what would be too large with this many bytes
    /// more.
    pub(super) async fn write(
        &mut self,
        all: &Object,
        more_bytes: usize,
        version: Option<&HeaderValue>,
        until: Instant,
    ) -> Result<Written, StoreError> {
        let bytes = all
            .bytes()
            .map_err(|error| StoreError::Corrupt(format!("records that cannot be written: {error}")))?;
        if bytes.len() + more_bytes > LARGEST_BYTES {
            return Err(self.away(TOO_LARGE));
        }
        let (head, body) = self.exchange(Method::POST, bytes.into(), version, until).await?;
        match head.status {
            StatusCode::PRECONDITION_FAILED => Ok(Written::Changed),
            status if status.is_success() => {
                let json = body.iter().all(u8::is_ascii_whitespace)
                    || serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
                if json { Ok(Written::Done) } else { Err(self.away("its answer to a write is no JSON")) }
            }
            status => Err(self.unexpected(status, "written")),
        }
    }

    async fn exchange(
        &mut self,
        method: Method,
        body: Bytes,
        version: Option<&HeaderValue>,
        until: Instant,
    ) -> Result<(http::response::Parts, Bytes), StoreError> {
        let late = "it did not answer in time; look after it, or raise store.timeout".to_owned();
        let asked = timeout_at(until, self.ask(&method, &body, version)).await;
        let outcome = asked.unwrap_or(Err(late));
        if outcome.is_err() {
            // What may still come on this connection is nobody's answer.
            self.kept = None;
        }
        outcome.map_err(|why| self.away(&why))
    }

    async fn ask(
        &mut self,
        method: &Method,
        body: &Bytes,
        version: Option<&HeaderValue>,
    ) -> Result<(http::response::Parts, Bytes), String> {
        let kept = match self.kept.take() {
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let (mut sender, reused) = match kept {
            Some(kept) => (kept, true),
            None => (self.connect().await?, false),
        };
        let said = |error: hyper::Error| match std::error::Error::source(&error) {
            Some(source) => format!("it did not answer: {error}: {source}"),
            None => format!("it did not answer: {error}"),
        };
        let answer = match sender.send_request(self.request(method, body, version)?).await {
            // It was closed meanwhile, as every server does with idle connections. Only reading may be repeated.
            Err(_) if reused && method == Method::GET => {
                sender = self.connect().await?;
                sender.send_request(self.request(method, body, version)?).await.map_err(said)?
            }
            answer => answer.map_err(said)?,
        };
        let (head, body) = whole(answer).await?;
        self.kept = Some(sender);
        Ok((head, body))
    }

    fn request(
        &self,
        method: &Method,
        body: &Bytes,
        version: Option<&HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.address.path)
            .header(header::HOST, &self.address.authority)
            .header(header::AUTHORIZATION, &self.bearer)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("linkgate/", env!("CARGO_PKG_VERSION")));
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(version) = version {
            request = request.header(header::IF_MATCH, version);
        }
        request.body(Full::new(body.clone())).map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let failed = |error: io::Error| format!("it cannot be reached: {}", tls::explain(&error));
        let socket =
            TcpStream::connect((self.address.host.as_str(), self.address.port)).await.map_err(failed)?;
        // Whole requests are written at once: nothing is gained by waiting for more.
        socket.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => speak(socket).await,
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                speak(connector.connect(name.clone(), socket).await.map_err(failed)?).await
            }
        }
    }

    /// A status that is no answer, with the cure.
    fn unexpected(&self, status: StatusCode, what: &str) -> StoreError {
        let cure = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "it refuses our bearer token; put one that it takes into store.token_file, and restart linkgate"
            }
            StatusCode::NOT_FOUND => "there is nothing at this address; correct store.url",
            StatusCode::PRECONDITION_REQUIRED => {
                "it wants If-Match, but sends no strong ETag with what is read; it must send one"
            }
            StatusCode::PAYLOAD_TOO_LARGE => TOO_LARGE,
            status if status.is_redirection() => {
                "it sends us elsewhere, and a bearer token is not taken along; write the address that it means in store.url"
            }
            _ => "look into its log",
        };
        self.away(&format!("the records cannot be {what} ({status}): {cure}"))
    }

    fn away(&self, why: &str) -> StoreError {
        StoreError::Away(format!("the token service {}: {why}", self.address))
    }
}

const TOO_LARGE: &str =
    "the records are too many for one document (32 MiB); have the service remove what has ended";

async fn speak<S>(socket: S) -> Result<http1::SendRequest<Full<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|error| error.to_string())?;
    // Ends with the sender, or with the socket; what went wrong is said by the request that it concerns.
    tokio::spawn(connection);
    Ok(sender)
}

/// The answer with its whole body, unless that is too large or cut off.
async fn whole(answer: Response<Incoming>) -> Result<(http::response::Parts, Bytes), String> {
    let (head, mut body) = answer.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("its answer broke off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > LARGEST_BYTES {
                return Err(TOO_LARGE.to_owned());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok((head, bytes.freeze()))
}
