//! The server through real sockets, with a small handler in the gate's place.

mod announced;
mod handshakes;
mod lifecycle;
mod pace;
mod parking;
mod requests;
mod streams;
mod watched;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::*;

/// Answers with its name and the path; `/wait` waits for the test, `/panic` panics, `/echo` echoes,
/// `/who` tells who asks and by which port, `/large` is a body of eight mebibytes.
struct House {
    name: &'static str,
    entered: Semaphore,
    released: Semaphore,
}

/// More than sockets hold.
const LARGE: usize = 8 * 1024 * 1024;

impl House {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, entered: Semaphore::new(0), released: Semaphore::new(0) })
    }
}

impl Handle for House {
    type Worker = ();
    type Body = Full<Bytes>;

    fn worker(self: &Arc<Self>, _previous: Option<&()>) {}

    fn knows_host(&self, host: &str) -> bool {
        host == "localhost"
    }

    async fn handle(
        self: Arc<Self>,
        _worker: Rc<()>,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/wait" => {
                self.entered.add_permits(1);
                self.released.acquire().await.unwrap().forget();
            }
            "/panic" => panic!("a bug, for the test"),
            "/echo" => {
                return Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes()));
            }
            "/who" => {
                let who = format!("{:?} {}", connection.peer, connection.local_port);
                return Response::new(Full::from(who));
            }
            "/large" => return Response::new(Full::from(vec![b'x'; LARGE])),
            _ => {}
        }
        let peer = if connection.peer == Peer::Unix { " unix" } else { "" };
        let secure = if connection.secure { " tls" } else { "" };
        let http2 = if connection.http2 { " h2" } else { "" };
        Response::new(Full::from(format!("{}{peer}{secure}{http2} {path}", self.name)))
    }
}

fn settings(listen: Vec<Listen>) -> Settings {
    Settings {
        listen,
        tls: None,
        workers: 2,
        limits: Limits::default(),
        drain: Duration::from_secs(20),
        monitor: None,
        inherited: Inherited::default(),
        proxy_protocol: Trust::default(),
        clock: Clock::system(),
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn well() -> Health {
    Arc::new(Readiness::default)
}

fn start(settings: Settings) -> (Server<House>, SocketAddr, Arc<House>) {
    let house = House::new("first");
    let server = Server::start(settings, Arc::clone(&house), well()).unwrap();
    let address = *server.local_addrs().first().unwrap();
    (server, address, house)
}

fn plain() -> (Server<House>, SocketAddr, Arc<House>) {
    start(settings(vec![Listen::Http(loopback())]))
}

/// Sends bytes, and returns what comes back until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes()
}

/// Reads one answer whose body ends with `end`, and leaves the connection open.
async fn read_until(socket: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut answer = String::new();
    let mut byte = [0; 1];
    while !answer.ends_with(end) {
        if socket.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        answer.push(char::from(byte[0]));
    }
    answer
}

/// A self-signed certificate for `names`, made by openssl.
fn certificate(folder: &Path, name: &str, names: &str, days: &str) -> (PathBuf, PathBuf) {
    let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Program::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            days,
        ])
        .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={names}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (chain, key)
}

struct Secure {
    server: Server<House>,
    address: SocketAddr,
    house: Arc<House>,
    folder: tempfile::TempDir,
    roots: RootCertStore,
}

fn secure(more: Vec<Listen>) -> Secure {
    secure_with(more, Limits::default())
}

fn secure_with(more: Vec<Listen>, limits: Limits) -> Secure {
    let folder = tempfile::tempdir().unwrap();
    let pairs = vec![
        certificate(folder.path(), "a", "DNS:localhost", "30"),
        certificate(folder.path(), "b", "DNS:*.example.com", "30"),
    ];
    let mut roots = RootCertStore::empty();
    for (chain, _) in &pairs {
        roots.add(CertificateDer::from_pem_file(chain).unwrap()).unwrap();
    }
    let mut settings = settings([vec![Listen::Https(loopback())], more].concat());
    settings.tls = Some(Tls { certificates: pairs });
    settings.limits = limits;
    let (server, address, house) = start(settings);
    Secure { server, address, house, folder, roots }
}

async fn tls(
    secure: &Secure,
    name: &str,
    protocol: &[u8],
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    connect_tls(&secure.roots, name, protocol, TcpStream::connect(secure.address).await?).await
}

async fn connect_tls(
    roots: &RootCertStore,
    name: &str,
    protocol: &[u8],
    tcp: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(client(roots, protocol))).connect(name, tcp).await
}

fn client(roots: &RootCertStore, protocol: &[u8]) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}
