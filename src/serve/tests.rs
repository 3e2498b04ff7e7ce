//! The server through real sockets, with a small handler in the gate's place.

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

/// Answers with its name and the path; `/wait` waits for the test, `/panic` panics, `/echo` echoes.
struct House {
    name: &'static str,
    entered: Semaphore,
    released: Semaphore,
}

impl House {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, entered: Semaphore::new(0), released: Semaphore::new(0) })
    }
}

impl Handle for House {
    type Worker = ();
    type Body = Full<Bytes>;

    fn worker(&self) {}

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

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let (server, address, _) = plain();
    let mut socket = TcpStream::connect(address).await.unwrap();
    for path in ["/a", "/b"] {
        socket.write_all(&get(path, "")).await.unwrap();
        let answer = read_until(&mut socket, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(server.counters().accepted.load(Relaxed), 1);
    assert_eq!(server.drain().await, 0);
}

#[tokio::test]
async fn smuggled_and_ambiguous_requests_get_400_and_the_connection_closes() {
    let (server, address, _) = plain();
    let tail = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer_Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n 3\r\n\r\nabc",
        "POST /echo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nHost: localhost\n\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = exchange(address, format!("{head}{tail}").as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{head:?} {answer}"
        );
        assert!(!answer.contains("smuggled"), "{head:?}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{head:?} {answer}");
    }
    for method in ["CONNECT localhost:1", "TRACE /"] {
        let head = format!("{method} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = exchange(address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {answer}");
    }
    server.drain().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_it() {
    let (server, address, _) = plain();
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let bytes = [&get("/one", "")[..], post.as_bytes(), &get("/two#x", ""), &get("/three", "")].concat();
    let answer = exchange(address, &bytes).await;
    let order: Vec<_> = ["first /one", "hello", "400 Bad"].iter().map(|text| answer.find(text)).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{answer}");
    assert!(!answer.contains("three"));
    server.drain().await;
}

#[tokio::test]
async fn a_client_that_dawdles_with_its_head_is_cut() {
    let mut slow = settings(vec![Listen::Http(loopback())]);
    slow.limits.header_timeout = Duration::from_millis(500);
    let (server, address, _) = start(slow);
    let began = Instant::now();
    assert_eq!(exchange(address, b"GET / HTTP/1.1\r\nHost: loc").await, "");
    assert_eq!(exchange(address, b"").await, "", "a silent one as well");
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(server.counters().timed_out.load(Relaxed), 2);
    server.drain().await;
}

#[tokio::test]
async fn a_silent_tls_handshake_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = settings(vec![Listen::Https(loopback())]);
    slow.limits.header_timeout = Duration::from_millis(500);
    slow.tls = Some(Tls { certificates: vec![certificate(folder.path(), "a", "DNS:localhost", "30")] });
    let (server, address, _) = start(slow);
    assert_eq!(exchange(address, b"\x16\x03\x01").await, "");
    assert_eq!(server.counters().timed_out.load(Relaxed), 1);
    server.drain().await;
}

#[tokio::test]
async fn an_idle_connection_and_a_stuck_body_end() {
    let mut short = settings(vec![Listen::Http(loopback())]);
    short.limits.idle_timeout = Duration::from_millis(500);
    short.limits.body_timeout = Duration::from_millis(500);
    let (server, address, _) = start(short);
    let answer = exchange(address, &get("/idle", "")).await;
    assert!(answer.ends_with("first /idle"), "{answer}");
    let post = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf";
    assert_eq!(exchange(address, post).await, "");
    server.drain().await;
}

#[tokio::test]
async fn a_head_with_too_many_lines_or_bytes_is_refused() {
    let (server, address, _) = plain();
    let many = "A: b\r\n".repeat(101);
    let answer = exchange(address, &get("/", &many)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = format!("A: {}\r\n", "b".repeat(70_000));
    let answer = exchange(address, &get("/", &long)).await;
    assert!(!answer.contains(" 200 "), "{answer}");
    server.drain().await;
}

#[tokio::test]
async fn a_panic_costs_one_connection_and_is_counted() {
    let (server, address, _) = plain();
    assert_eq!(exchange(address, &get("/panic", "")).await, "");
    let answer = exchange(address, &get("/after", "Connection: close\r\n")).await;
    assert!(answer.ends_with("first /after"), "{answer}");
    assert_eq!(server.counters().panics.load(Relaxed), 1);
    server.drain().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_port_is_refused_with_the_cure() {
    let (server, address, house) = plain();
    let second = Server::start(settings(vec![Listen::Http(address)]), house, well());
    let error = second.err().unwrap().to_string();
    assert!(error.contains("already in use") && error.contains("stop the program"), "{error}");
    server.drain().await;
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_closed_at_once() {
    let mut tight = settings(vec![Listen::Http(loopback())]);
    tight.limits.connections_per_client = 1;
    let (server, address, _) = start(tight);
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&get("/a", "")).await.unwrap();
    read_until(&mut first, "/a").await;
    assert_eq!(exchange(address, &get("/b", "")).await, "");
    assert_eq!(server.counters().refused_client.load(Relaxed), 1);
    server.drain().await;
}

#[tokio::test]
async fn a_drain_lets_a_running_request_finish_and_closes_idle_connections_at_once() {
    let (server, address, house) = plain();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(&get("/idle", "")).await.unwrap();
    read_until(&mut idle, "/idle").await;
    let running = tokio::spawn(async move { exchange(address, &get("/wait", "")).await });
    house.entered.acquire().await.unwrap().forget();
    let server = Arc::new(server);
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.drain().await }
    });
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(!drain.is_finished(), "a request is still running");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    house.released.add_permits(1);
    let answer = running.await.unwrap();
    assert!(answer.ends_with("first /wait") && answer.contains("connection: close"), "{answer}");
    assert_eq!(drain.await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_says_what_it_cut() {
    let mut hasty = settings(vec![Listen::Http(loopback())]);
    hasty.drain = Duration::from_millis(50);
    let (server, address, house) = start(hasty);
    let running = tokio::spawn(async move { exchange(address, &get("/wait", "")).await });
    house.entered.acquire().await.unwrap().forget();
    assert_eq!(server.drain().await, 1);
    assert_eq!(running.await.unwrap(), "");
}

#[tokio::test]
async fn a_swap_under_load_loses_nothing_and_changes_open_connections() {
    let (server, address, _) = plain();
    let load: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let mut seen = HashMap::<String, u32>::new();
                while seen.get("third").is_none_or(|count| *count < 50) {
                    socket.write_all(&get("/load", "")).await.unwrap();
                    let answer = read_until(&mut socket, " /load").await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    let name = answer.rsplit("\r\n").next().unwrap().split(' ').next().unwrap().to_owned();
                    *seen.entry(name).or_default() += 1;
                }
            })
        })
        .collect();
    for name in ["second", "third"] {
        server.swap(House::new(name), None).await.unwrap();
        let answer = exchange(address, &get("/new", "Connection: close\r\n")).await;
        assert!(answer.ends_with(&format!("{name} /new")), "acknowledged means in use: {answer}");
    }
    for one in load {
        one.await.unwrap();
    }
    server.drain().await;
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let listen = vec![Listen::Unix { path: path.clone(), mode: 0o600, group: None }];
    let server = Server::start(settings(listen), House::new("first"), well()).unwrap();
    for _ in 0..4 {
        let mut socket = UnixStream::connect(&path).await.unwrap();
        socket.write_all(&get("/a", "Connection: close\r\n")).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("first unix /a"), "{answer}");
    }
    server.drain().await;
    assert!(!path.exists());
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
    let (server, address, house) = start(settings);
    Secure { server, address, house, folder, roots }
}

async fn tls(
    secure: &Secure,
    name: &str,
    protocol: &[u8],
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(secure.roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let tcp = TcpStream::connect(secure.address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

#[tokio::test]
async fn certificates_are_chosen_by_name_and_reload_with_the_server_running() {
    let secure = secure(Vec::new());
    for name in ["localhost", "wiki.example.com"] {
        let mut socket = tls(&secure, name, b"http/1.1").await.unwrap();
        socket.write_all(&get("/a", "")).await.unwrap();
        assert!(read_until(&mut socket, " /a").await.ends_with("first tls /a"));
    }
    assert!(
        tls(&secure, "other.example.org", b"http/1.1").await.is_err(),
        "the default is not for that name"
    );
    let renewed = certificate(secure.folder.path(), "c", "DNS:other.example.org", "30");
    let (chain, key) = renewed.clone();
    let mismatch = Tls { certificates: vec![(chain, secure.folder.path().join("a.key"))] };
    let error = secure.server.swap(Arc::clone(&secure.house), Some(mismatch)).await.unwrap_err();
    assert!(error.to_string().contains("a.key is not the key of"), "{error}");
    assert!(tls(&secure, "localhost", b"http/1.1").await.is_ok(), "a failed reload keeps the old");
    let mut roots = secure.roots.clone();
    roots.add(CertificateDer::from_pem_file(&renewed.0).unwrap()).unwrap();
    let secure = Secure { roots, ..secure };
    let new = Tls { certificates: vec![(renewed.0, key)] };
    secure.server.swap(Arc::clone(&secure.house), Some(new)).await.unwrap();
    assert!(tls(&secure, "other.example.org", b"http/1.1").await.is_ok());
    secure.server.drain().await;
}

#[tokio::test]
async fn http2_is_served_checked_and_drained() {
    let secure = secure(Vec::new());
    let socket = tls(&secure, "localhost", b"h2").await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |uri: &str, host: Option<&str>| {
        let mut request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        request
    };
    let answer = client.send_request(request("https://localhost/a", None)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "first tls h2 /a");
    let answer = client.send_request(request("https://localhost/a", Some("other"))).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(client.send_request(request("https://localhost/panic", None)).await.is_err());
    assert_eq!(secure.server.counters().panics.load(Relaxed), 1);
    let waiting = tokio::spawn(client.send_request(request("https://localhost/wait", None)));
    secure.house.entered.acquire().await.unwrap().forget();
    let release = async {
        while TcpStream::connect(secure.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        secure.house.released.add_permits(1);
    };
    let (cut, ()) = tokio::join!(secure.server.drain(), release);
    assert_eq!(cut, 0);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn plain_requests_beside_https_are_redirected_and_on_https_refused() {
    let secure = secure(vec![Listen::Http(loopback())]);
    let plain = secure.server.local_addrs()[1];
    let answer = exchange(plain, &get("/a?b", "Connection: close\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("location: https://localhost:{}/a?b", secure.address.port())));
    let answer = exchange(plain, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    exchange(secure.address, &get("/", "")).await;
    assert_eq!(secure.server.counters().handshakes_failed.load(Relaxed), 1);
    secure.server.drain().await;
}

#[test]
fn certificates_that_cannot_work_name_the_file_and_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = certificate(folder.path(), "a", "DNS:localhost", "1");
    let try_with = |chain: &Path, key: &Path, clock: &Clock| {
        let tls = Tls { certificates: vec![(chain.to_owned(), key.to_owned())] };
        tls::Keeper::load(&tls, clock.now()).err().map(|error| error.to_string())
    };
    let now = Clock::system();
    assert_eq!(try_with(&chain, &key, &now), None);
    let later = Clock::manual(now.now() + Duration::from_hours(72));
    let expired = try_with(&chain, &key, &later).unwrap();
    assert!(expired.contains("a.pem has expired: renew"), "{expired}");
    let early = Clock::manual(now.now() - Duration::from_hours(24));
    assert!(try_with(&chain, &key, &early).unwrap().contains("clock"));
    let missing = try_with(&chain, &folder.path().join("none"), &now).unwrap();
    assert!(missing.contains("none") && missing.contains("check the path"), "{missing}");
    assert!(try_with(&key, &key, &now).unwrap().contains("a.key is not a PEM certificate"));
    assert!(try_with(&chain, &chain, &now).unwrap().contains("a.pem holds no usable private key"));
}

#[tokio::test]
async fn the_monitor_tells_health_and_readiness_and_nothing_else() {
    let mut settings = settings(vec![Listen::Http(loopback())]);
    settings.monitor = Some(loopback());
    let check = Check { name: "store", ok: false, detail: "away".to_owned() };
    let health: Health = Arc::new(move || Readiness { checks: vec![check.clone()] });
    let server = Server::start(settings, House::new("first"), health).unwrap();
    let monitor = server.monitor_addr().unwrap();
    assert!(exchange(monitor, &get("/healthz", "")).await.starts_with("HTTP/1.1 200 "));
    let ready = exchange(monitor, &get("/readyz", "")).await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let json = r#"{"ready":false,"draining":false,"checks":[{"name":"store","ok":false,"detail":"away"}]}"#;
    assert!(ready.ends_with(json), "{ready}");
    assert!(exchange(monitor, &get("/metrics", "")).await.starts_with("HTTP/1.1 404 "));
    server.drain().await;
}

#[tokio::test]
async fn systemd_hears_of_start_reload_and_stop_and_the_watchdog_of_living_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = tokio::net::UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::connect(Some(path.as_os_str())).unwrap();
    let hear = async || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    notifier.ready("2 sites\nWATCHDOG=1");
    assert_eq!(hear().await, "READY=1\nSTATUS=2 sites\n");
    notifier.reloading();
    assert!(hear().await.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    notifier.stopping();
    assert_eq!(hear().await, "STOPPING=1\n");
    let (server, ..) = plain();
    tokio::select! {
        () = watchdog(&notifier, Duration::from_millis(100), &server) => {}
        heard = hear() => assert_eq!(heard, "WATCHDOG=1\n"),
    }
    server.drain().await;
    assert!(!server.alive(Duration::from_secs(1)).await, "a worker that is gone is not alive");
    Notifier::connect(None).unwrap().ready("nobody listens");
}
