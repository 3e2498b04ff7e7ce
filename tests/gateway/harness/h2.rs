//! A visitor who speaks HTTP/2 over TLS, and sends bodies frame by frame.

use super::PATIENCE;
use super::stage::SECURE_HOST;
use super::stage::Stage;
use super::stage::Wire;
use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::request::Builder;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

/// One connection.
#[derive(Clone)]
pub struct H2 {
    sender: SendRequest<Fed>,
    cookie: String,
    origin: String,
}

impl H2 {
    /// Connects to a stage with TLS; ALPN must choose `h2`.
    pub async fn connect(stage: &Stage) -> Self {
        let mut config = (*stage.authority.as_ref().expect("a stage with TLS").client()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(("127.0.0.1", stage.gateway.place.port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = rustls_pki_types::ServerName::try_from(SECURE_HOST).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(1 << 20)
            .initial_stream_window_size(1 << 20)
            .handshake(TokioIo::new(tls))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { sender, cookie: stage.cookie.clone(), origin: format!("https://{}", stage.host) }
    }

    /// A request in Alice's name.
    pub fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.origin)).header("cookie", &self.cookie)
    }

    /// A WebSocket asked for by CONNECT (RFC 8441) in Alice's name.
    pub fn extended(&self, path: &str) -> Builder {
        self.request("CONNECT", path).extension(Protocol::from_static("websocket"))
    }

    /// The stream behind the answer to a CONNECT.
    pub async fn joined(answer: Response<Incoming>) -> Wire {
        let stream = hyper::upgrade::on(answer).await.unwrap();
        Wire::over(TokioIo::new(stream)).await
    }

    /// Sends it and returns the task that brings the answer; the frames follow through the sender.
    pub fn send(&self, request: Builder) -> (mpsc::Sender<Frame<Bytes>>, Coming) {
        let (feed, pieces) = mpsc::channel(1);
        let answer = self.sender.clone().send_request(request.body(Fed(Some(pieces))).unwrap());
        (feed, Coming(tokio::spawn(answer)))
    }

    /// A request without a body.
    pub fn start(&self, request: Builder) -> Coming {
        Coming(tokio::spawn(self.sender.clone().send_request(request.body(Fed(None)).unwrap())))
    }
}

/// An answer on its way.
pub struct Coming(tokio::task::JoinHandle<hyper::Result<Response<Incoming>>>);

impl Coming {
    pub async fn head(self) -> Response<Incoming> {
        tokio::time::timeout(PATIENCE, self.0).await.expect("an answer").unwrap().unwrap()
    }

    /// Stops waiting: the stream is reset.
    pub async fn abort(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

pub struct Whole {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

pub async fn whole(answer: Response<Incoming>) -> Whole {
    let (head, body) = answer.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("a whole body").unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Whole { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers }
}

/// The next piece of a body; empty at its end.
pub async fn piece(body: &mut Incoming) -> Bytes {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a piece of the body");
    frame.map(|frame| frame.unwrap().into_data().unwrap_or_default()).unwrap_or_default()
}

/// A body that is fed; `None` has none.
pub struct Fed(pub Option<mpsc::Receiver<Frame<Bytes>>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |fed| fed.poll_recv(cx).map(|frame| frame.map(Ok)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
