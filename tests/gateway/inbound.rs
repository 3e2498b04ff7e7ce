//! The ways in: IPv6, Unix sockets, several certificates on one address, new certificates under open connections.

use crate::harness::PATIENCE;
use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::authority::issue;
use crate::harness::eventually;
use crate::harness::frames::END_HEADERS;
use crate::harness::frames::END_STREAM;
use crate::harness::frames::Frames;
use crate::harness::frames::GOAWAY;
use crate::harness::frames::HEADERS;
use crate::harness::frames::RESET;
use crate::harness::frames::SETTINGS;
use crate::harness::frames::block;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::stage::SECURE_HOST;
use crate::harness::stage::Stage;
use rustls::HandshakeKind;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn config(app: &App, listen: &str, tls: &str, host: &str) -> String {
    let (_, rest) = HEAD.split_once("listen = [\"http://127.0.0.1:@PORT@\"]").unwrap();
    let scheme = if tls.is_empty() { "http" } else { "https" };
    format!(
        "listen = [{listen}]\n{rest}{tls}\n[[site]]\nname = \"wiki\"\nurl = \"{scheme}://{host}:@PORT@\"\n\
         allow = [\"alice@example.com\"]\n[[site.app]]\nname = \"main\"\nhost = \"{host}\"\nupstream = \"{}\"\n\
         access = \"public\"\n[[site.app]]\nname = \"other\"\nhost = \"other.localhost\"\nupstream = \"{}\"\n\
         access = \"public\"\n",
        app.url(),
        app.url()
    )
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// One request on a connection that stays open.
async fn ask(socket: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), path: &str, host: &str) -> String {
    socket.write_all(get(path, host).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"</html>") {
        let read = timeout(PATIENCE, socket.read_buf(&mut answer)).await.expect("an answer").unwrap();
        assert!(read > 0, "closed after {}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn ipv6_and_a_unix_socket_are_ways_in_like_any_other() {
    let app = App::start().await;
    let listen = "\"http://[::]:@PORT@\", \"unix:@DIR@/web.sock?mode=0660\"";
    let gateway = Gateway::start_with(Place::new(), &config(&app, listen, "", "localhost")).await;
    let port = gateway.place.port;
    let mut six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    assert!(ask(&mut six, "/six", "localhost").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(app.request("/six").await.all("x-real-ip"), ["::1"]);
    let mut four = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(ask(&mut four, "/four", "localhost").await.starts_with("HTTP/1.1 200 "));
    // Both families on one socket, and an IPv4 visitor is still one.
    assert_eq!(app.request("/four").await.all("x-real-ip"), ["127.0.0.1"]);
    let mut unix = UnixStream::connect(gateway.place.path().join("web.sock")).await.unwrap();
    assert!(ask(&mut unix, "/unix", "localhost").await.starts_with("HTTP/1.1 200 "));
    app.request("/unix").await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(!gateway.place.path().join("web.sock").exists());
}

async fn shake(authority: &Authority, name: &str, port: u16) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(authority.client()).connect(name, tcp).await.unwrap()
}

fn shown(socket: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    socket.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn read(folder: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join("site.pem")).unwrap()
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_new_ones_drop_no_connection() {
    let app = App::start().await;
    let place = Place::new();
    let folder = |name: &str| {
        let folder = place.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (first, second, third) = (folder("first"), folder("second"), folder("third"));
    let wiki = Authority::make(&first, &["wiki.localhost"]);
    let other = Authority::make(&second, &["other.localhost"]);
    let renewed = Authority::make(&third, &["wiki.localhost"]);
    let tls = "[[tls.certificates]]\ncertificate = \"@DIR@/first/site.pem\"\nkey = \"@DIR@/first/site.key\"\n\
               [[tls.certificates]]\ncertificate = \"@DIR@/second/site.pem\"\nkey = \"@DIR@/second/site.key\"";
    let config = config(&app, "\"https://127.0.0.1:@PORT@\"", tls, "wiki.localhost");
    let gateway = Gateway::start_with(place, &config).await;
    let port = gateway.place.port;

    let mut old = shake(&wiki, "wiki.localhost", port).await;
    assert_eq!(shown(&old), read(&first));
    assert!(ask(&mut old, "/old", "wiki.localhost").await.starts_with("HTTP/1.1 200 "));
    let mut beside = shake(&other, "other.localhost", port).await;
    assert_eq!(shown(&beside), read(&second));
    assert!(ask(&mut beside, "/beside", "other.localhost").await.starts_with("HTTP/1.1 200 "));

    // In the very files, as a renewal does it.
    for file in ["site.pem", "site.key"] {
        std::fs::copy(third.join(file), first.join(file)).unwrap();
    }
    gateway.signal("HUP");
    eventually("the new certificate is shown", async || {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = ServerName::try_from("wiki.localhost").unwrap();
        let fresh = TlsConnector::from(renewed.client()).connect(name, tcp).await.ok()?;
        (shown(&fresh) == read(&third)).then_some(())
    })
    .await;
    assert!(ask(&mut old, "/old", "wiki.localhost").await.starts_with("HTTP/1.1 200 "), "nobody is dropped");
    assert!(ask(&mut beside, "/beside", "other.localhost").await.starts_with("HTTP/1.1 200 "));

    // Who comes again is recognised, also across the reload.
    let again = shake(&other, "other.localhost", port).await;
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn one_connection_serves_every_host_of_its_certificate_and_no_other() {
    let app = App::start().await;
    let place = Place::new();
    let authority = Authority::make(place.path(), &["wiki.localhost", "other.localhost"]);
    let tls = "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"";
    let config = config(&app, "\"https://127.0.0.1:@PORT@\"", tls, "wiki.localhost");
    let gateway = Gateway::start_with(place, &config).await;
    let mut socket = shake(&authority, "wiki.localhost", gateway.place.port).await;
    // One certificate for both hosts: browsers use one connection for them, and each request says its own host.
    for host in ["wiki.localhost", "other.localhost"] {
        assert!(ask(&mut socket, "/both", host).await.starts_with("HTTP/1.1 200 "));
        assert!(app.request("/both").await.header("x-forwarded-host").starts_with(host));
        app.forget();
    }
    socket.write_all(get("/none", "evil.example").as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 421");
}

#[tokio::test]
async fn both_versions_of_tls_choose_by_name_and_know_who_comes_again() {
    let app = App::start().await;
    let place = Place::new();
    let folder = |name: &str| {
        let folder = place.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (first, second) = (folder("first"), folder("second"));
    let names = [("wiki.localhost", &first), ("other.localhost", &second)];
    let authorities = names.map(|(name, folder)| Authority::make(folder, &[name]));
    let tls = "[[tls.certificates]]\ncertificate = \"@DIR@/first/site.pem\"\nkey = \"@DIR@/first/site.key\"\n\
               [[tls.certificates]]\ncertificate = \"@DIR@/second/site.pem\"\nkey = \"@DIR@/second/site.key\"";
    let config = config(&app, "\"https://127.0.0.1:@PORT@\"", tls, "wiki.localhost");
    let gateway = Gateway::start_with(place, &format!("workers = 2\n{config}")).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for ((host, folder), authority) in names.iter().zip(&authorities) {
            let client = authority.client_of(version);
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
                let tcp = TcpStream::connect(("127.0.0.1", gateway.place.port)).await.unwrap();
                let name = ServerName::try_from(*host).unwrap();
                let mut socket = TlsConnector::from(Arc::clone(&client)).connect(name, tcp).await.unwrap();
                // TLS 1.3 brings its tickets with the first answer.
                assert!(ask(&mut socket, "/", host).await.starts_with("HTTP/1.1 200 "));
                let session = socket.get_ref().1;
                assert_eq!(session.protocol_version(), Some(version.version));
                assert_eq!(session.handshake_kind(), Some(kind), "{host} {version:?}");
                assert_eq!(shown(&socket), read(folder));
            }
        }
    }
}

#[tokio::test]
async fn what_is_under_way_when_certificates_change_comes_to_its_end() {
    let stage = Stage::secure("http", "").await;
    let mut download = stage.secure_visitor().await;
    download.say(stage.request("GET /download", "")).await;
    let mut download_app = stage.app().await;
    download_app.until("\r\n\r\n").await;
    download_app.say("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nbegin-").await;
    download.until("begin-").await;
    let mut upload = stage.secure_visitor().await;
    upload.say(stage.request("POST /upload", "content-length: 12\r\n") + "begin-").await;
    let mut upload_app = stage.app().await;
    upload_app.until("begin-").await;
    let mut half = stage.secure_visitor().await;
    let request = stage.request("GET /half", "");
    let (first, second) = request.split_at(20);
    half.say(first).await;

    issue(stage.gateway.place.path(), "site", &[SECURE_HOST], "2");
    let renewed = read(stage.gateway.place.path());
    stage.gateway.signal("HUP");
    let authority = stage.authority.as_ref().unwrap();
    eventually("the new certificate is shown", async || {
        (shown(&shake(authority, SECURE_HOST, stage.gateway.place.port).await) == renewed).then_some(())
    })
    .await;

    download_app.say("-ended").await;
    download.until("-ended").await;
    upload.say("-ended").await;
    upload_app.until("-ended").await;
    half.say(second).await;
    let mut half_app = stage.app().await;
    half_app.until("\r\n\r\n").await;
    for (app, visitor) in [(&mut upload_app, &mut upload), (&mut half_app, &mut half)] {
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await;
        assert!(visitor.until("done").await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn over_http2_streams_header_bytes_and_resets_are_bounded_as_configured() {
    let app = App::start().await;
    let place = Place::new();
    let authority = Authority::make(place.path(), &["wiki.localhost"]);
    let tls = "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"";
    let config = config(&app, "\"https://127.0.0.1:@PORT@\"", tls, "wiki.localhost")
        .replace("[limits]\n", "[limits]\nstreams_per_connection = 3\nmax_header = \"8KiB\"\n");
    let gateway = Gateway::start_with(place, &config).await;
    let connect = || Frames::connect(&authority, "wiki.localhost", gateway.place.port, &[]);
    let origin = format!("https://wiki.localhost:{}", gateway.place.port);
    let request = |method: &str, path: &str, more: &str| {
        let usual = [(":method", method), (":scheme", "https"), (":authority", "wiki.localhost")];
        block(&[&usual[..], &[(":path", path), ("origin", &origin), ("x", more)]].concat())
    };

    let mut frames = connect().await;
    let announced = frames.next().await.expect("settings");
    assert_eq!(announced.kind, SETTINGS);
    for (key, value) in [(3_u16, 3_u32), (6, 8192)] {
        let wanted = [&key.to_be_bytes()[..], &value.to_be_bytes()].concat();
        assert!(announced.payload.chunks(6).any(|setting| setting == wanted), "{key}: {announced:?}");
    }
    // Each waits for the rest of its form.
    for stream in [1, 3, 5, 7] {
        frames.send(HEADERS, END_HEADERS, stream, &request("POST", "/.linkgate/login", "")).await;
    }
    let refused = loop {
        let frame = frames.next().await.expect("the connection goes on");
        if frame.kind == RESET {
            break frame;
        }
    };
    assert_eq!((refused.stream, refused.payload), (7, 7_u32.to_be_bytes().to_vec()));

    let mut frames = connect().await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &"y".repeat(9000))).await;
    assert_eq!(frames.outcome(1).await, 431);
    frames.send(HEADERS, END_HEADERS | END_STREAM, 3, &request("GET", "/", &"y".repeat(7000))).await;
    assert_eq!(frames.outcome(3).await, 200);

    let mut frames = connect().await;
    for number in 0..1000 {
        let stream = 1 + 2 * number;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/", "")).await;
        frames.send(RESET, 0, stream, &8_u32.to_be_bytes()).await;
    }
    let mut reason = None;
    while let Some(frame) = frames.next().await {
        if frame.kind == GOAWAY {
            reason = frame.payload.get(4..8).map(<[u8]>::to_vec);
        }
    }
    assert_eq!(reason, Some(11_u32.to_be_bytes().to_vec()), "calm is asked for");
    assert!(app.seen().len() < 100, "{} of a thousand requests came through", app.seen().len());
}
