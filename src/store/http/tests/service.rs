//! A token service of the test's own: HTTPS on a port of the loopback, one document, faults on demand. Ends with the test.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::secret::Secret;
use crate::store::{HttpSettings, ServiceAddress, Settings};

/// What it takes as bearer token.
pub(super) const TOKEN: &str = "a-token-of-the-test";

/// How versions are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Strong,
    Weak,
    None,
}

/// What goes wrong with an answer.
#[derive(Clone)]
pub(super) enum Fault {
    /// This status, this `Location`, this body.
    Answer(u16, &'static str),
    /// Half of what it should be, then nothing more.
    Truncated,
    /// The beginning, and no end.
    Slow,
    /// No end, and quickly.
    Endless,
    /// Everything as it should be, but nothing is kept.
    Lie,
}

/// Done once, as soon as a write arrives, before it is looked at.
pub(super) type Meanwhile = Box<dyn FnOnce(&mut State) + Send>;

pub(super) struct State {
    /// The records, byte for byte.
    pub(super) text: String,
    pub(super) version: u64,
    pub(super) tags: Tags,
    pub(super) on_read: Option<Fault>,
    pub(super) on_write: Option<Fault>,
    pub(super) meanwhile: Option<Meanwhile>,
    /// Every write is met by somebody else's.
    pub(super) busy: bool,
    pub(super) reads: u32,
    pub(super) writes: u32,
}

impl State {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Changes the records as somebody else would.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut json = self.json();
        edit(&mut json);
        self.text = json.to_string();
        self.version += 1;
    }
}

pub(super) struct Service {
    pub(super) folder: TempDir,
    port: u16,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub(super) fn start(tags: Tags) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = certificate(folder.path());
        let state = Arc::new(Mutex::new(State {
            text: "{}".to_owned(),
            version: 1,
            tags,
            on_read: None,
            on_write: None,
            meanwhile: None,
            busy: false,
            reads: 0,
            writes: 0,
        }));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! { () = serve(listener, tls, shared) => {} _ = stopped => {} }
            });
        });
        Self { folder, port, state, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Of a linkgate whose ledger is the file of this name.
    pub(super) fn settings(&self, ledger: &str) -> HttpSettings {
        HttpSettings {
            address: ServiceAddress::parse(&format!("https://localhost:{}/api", self.port)).unwrap(),
            token: Secret::new(TOKEN.to_owned()),
            ca: Some(self.ca()),
            timeout: Duration::from_secs(20),
            path: self.folder.path().join(ledger),
        }
    }

    pub(super) fn of(&self, ledger: &str) -> Settings {
        Settings::Http(self.settings(ledger))
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.path().join("service.pem")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn certificate(folder: &Path) -> TlsAcceptor {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "service.key", "-out", "service.pem"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let chain = vec![CertificateDer::from_pem_file(folder.join("service.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("service.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(socket) = tls.accept(socket).await else { return };
            let service = service_fn(|request| answer(request, Arc::clone(&state)));
            // A client that goes away is no concern of ours.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Pieces>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.uri.path() != "/api/magic_link_tokens" {
        return Ok(plain(StatusCode::NOT_FOUND, "{}"));
    }
    if header(header::AUTHORIZATION) != Some(&format!("Bearer {TOKEN}")) {
        return Ok(plain(StatusCode::UNAUTHORIZED, "{}"));
    }
    let mut state = state.lock().unwrap();
    Ok(match head.method {
        Method::GET => {
            state.reads += 1;
            let mut answer = plain(StatusCode::OK, &state.text);
            if let Some(tag) = tag(&state) {
                answer.headers_mut().insert(header::ETAG, tag);
            }
            spoil(answer, state.on_read.as_ref())
        }
        Method::POST => {
            if let Some(meanwhile) = state.meanwhile.take() {
                meanwhile(&mut state);
            }
            if state.busy {
                state.version += 1;
            }
            if refused(&state, &head.headers) {
                return Ok(plain(StatusCode::PRECONDITION_FAILED, "{}"));
            }
            assert_eq!(header(header::CONTENT_TYPE), Some("application/json"));
            let fault = state.on_write.clone();
            if fault.is_none() {
                state.text = String::from_utf8(body.to_vec()).unwrap();
                assert!(state.json().is_object());
                state.version += 1;
                state.writes += 1;
            }
            spoil(plain(StatusCode::OK, "{\"stored\":true}"), fault.as_ref())
        }
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "{}"),
    })
}

fn tag(state: &State) -> Option<HeaderValue> {
    let text = match state.tags {
        Tags::Strong => format!("\"{}\"", state.version),
        Tags::Weak => format!("W/\"{}\"", state.version),
        Tags::None => return None,
    };
    Some(HeaderValue::try_from(text).unwrap())
}

fn refused(state: &State, headers: &HeaderMap) -> bool {
    match (state.tags, headers.get(header::IF_MATCH)) {
        (Tags::Strong, condition) => condition != tag(state).as_ref(),
        (Tags::Weak | Tags::None, condition) => {
            assert!(condition.is_none(), "no If-Match where there is no strong ETag");
            false
        }
    }
}

fn plain(status: StatusCode, body: &str) -> Response<Pieces> {
    let pieces = Pieces { left: Some(Bytes::copy_from_slice(body.as_bytes())), then: Then::End };
    let mut answer = Response::new(pieces);
    *answer.status_mut() = status;
    answer
}

fn spoil(mut answer: Response<Pieces>, fault: Option<&Fault>) -> Response<Pieces> {
    match fault {
        None | Some(Fault::Lie) => {}
        Some(Fault::Answer(status, body)) => {
            answer = plain(StatusCode::from_u16(*status).unwrap(), body);
            let elsewhere = HeaderValue::from_static("https://elsewhere.example.com/");
            answer.headers_mut().insert(header::LOCATION, elsewhere);
        }
        Some(fault) => {
            let pieces = answer.body_mut();
            pieces.left = pieces.left.take().map(|whole| whole.slice(..whole.len() / 2));
            pieces.then = match fault {
                Fault::Truncated => Then::Break { after: 3 },
                Fault::Slow => Then::Hang,
                _ => Then::Repeat(Bytes::from(vec![b' '; 1 << 20])),
            };
        }
    }
    answer
}

/// A body in one piece, and what follows.
struct Pieces {
    left: Option<Bytes>,
    then: Then,
}

enum Then {
    End,
    /// What came before is on its way meanwhile.
    Break {
        after: u8,
    },
    Hang,
    Repeat(Bytes),
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = self.left.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut self.then {
            Then::End => Poll::Ready(None),
            Then::Break { after } if *after > 0 => {
                *after -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Then::Break { .. } => Poll::Ready(Some(Err(io::Error::other("broken off on purpose")))),
            Then::Hang => Poll::Pending,
            Then::Repeat(piece) => Poll::Ready(Some(Ok(Frame::data(piece.clone())))),
        }
    }
}
