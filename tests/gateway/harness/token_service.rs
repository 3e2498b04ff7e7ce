//! An organisation's token service: one JSON document over HTTPS, behind a bearer token. Ends with the test.

use super::authority::Authority;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "token-of-the-organisation";

#[derive(Default)]
struct Held {
    text: String,
    version: u64,
    failing: bool,
}

pub struct TokenService {
    folder: TempDir,
    port: u16,
    held: Arc<Mutex<Held>>,
    task: tokio::task::JoinHandle<()>,
}

impl TokenService {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Authority::make(folder.path(), &["localhost"]);
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.path().join("token"), mode).unwrap();
        let chain = vec![CertificateDer::from_pem_file(folder.path().join("site.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.path().join("site.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(Mutex::new(Held { text: "{}".to_owned(), ..Held::default() }));
        let shared = Arc::clone(&held);
        let task = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, held) = (tls.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    let Ok(socket) = tls.accept(socket).await else { return };
                    let service = service_fn(|request| answer(request, Arc::clone(&held)));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { folder, port, held, task }
    }

    /// The `[store]` that leads here.
    pub fn store(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "[store]\nkind = \"http\"\nurl = \"https://localhost:{}/v1\"\ntoken_file = \"{folder}/token\"\n\
             ca = \"{folder}/ca.pem\"\n",
            self.port
        )
    }

    /// The records of the links to this address.
    pub fn links_of(&self, email: &str) -> Vec<(String, Value)> {
        let all: Value = serde_json::from_str(&self.held.lock().unwrap().text).unwrap();
        let records = all.as_object().unwrap().clone().into_iter();
        records.filter(|(_, record)| record["email"] == email).collect()
    }

    /// As the organisation's own people would.
    pub fn edit(&self, id: &str, field: &str, value: Value) {
        let mut held = self.held.lock().unwrap();
        let mut all: Value = serde_json::from_str(&held.text).unwrap();
        all[id][field] = value;
        held.text = all.to_string();
        held.version += 1;
    }

    pub fn fail(&self, failing: bool) {
        self.held.lock().unwrap().failing = failing;
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    held: Arc<Mutex<Held>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (asked, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut held = held.lock().unwrap();
    let tag = format!("\"{}\"", held.version);
    let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let (status, text) = if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        (StatusCode::UNAUTHORIZED, "{}".to_owned())
    } else if asked.uri.path() != "/v1/magic_link_tokens" {
        (StatusCode::NOT_FOUND, "{}".to_owned())
    } else if held.failing {
        (StatusCode::BAD_GATEWAY, "<html>".to_owned())
    } else if asked.method == Method::GET {
        (StatusCode::OK, held.text.clone())
    } else if header("if-match") != Some(&tag) {
        (StatusCode::PRECONDITION_FAILED, "{}".to_owned())
    } else {
        held.text = String::from_utf8(body.to_vec()).unwrap();
        held.version += 1;
        (StatusCode::OK, "{}".to_owned())
    };
    Ok(Response::builder().status(status).header("etag", tag).body(Full::from(text)).unwrap())
}
