//! The ways in: IPv6, Unix sockets, several certificates on one address, new certificates under open connections.

use crate::harness::PATIENCE;
use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use rustls::HandshakeKind;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use std::net::Ipv6Addr;
use std::path::Path;
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
