//! The PROXY protocol: who must announce visitors is believed about them, nobody else may, and what it says is then a
//! peer like any other.

use crate::harness::PATIENCE;
use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where the proxy is, and where somebody who is none.
const PROXY: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

const VISITOR: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 51000 8443\r\n";

/// The same in version 2, with an addition that is to be skipped.
const VISITOR_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\xcb\x00\x71\x09\xc6\x33\x64\x01\xc7\x38\x20\xfb\x05\x00\x05hello";

fn config(app: &App, listen: &str, more: &str) -> String {
    let (_, rest) = HEAD.split_once("listen = [\"http://127.0.0.1:@PORT@\"]").unwrap();
    format!(
        r#"
listen = [{listen}]
{more}
{rest}
[[site]]
name = "wiki"
url = "{}://localhost:@PORT@"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{}"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/inside/"
access = "public"
clients = ["10.0.0.0/8"]
"#,
        if listen.contains("https") { "https" } else { "http" },
        app.url()
    )
}

async fn start(app: &App, more: &str) -> Gateway {
    let more = format!("proxy_protocol = [\"127.0.0.2\"]\n{more}");
    Gateway::start_with(Place::new(), &config(app, "\"http://127.0.0.1:@PORT@\"", &more)).await
}

async fn connect(from: [u8; 4], gateway: &Gateway) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(SocketAddr::from(([127, 0, 0, 1], gateway.place.port))).await.unwrap()
}

/// Sends all and reads to the end.
async fn ask(mut socket: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: &[u8]) -> String {
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the gateway ends it");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n").into_bytes()
}

#[tokio::test]
async fn the_app_learns_the_visitor_and_the_port_that_the_proxy_announces() {
    let app = App::start().await;
    let gateway = start(&app, "").await;
    for (number, header) in [VISITOR, VISITOR_V2].into_iter().enumerate() {
        let path = format!("/open/{number}");
        let text = ask(connect(PROXY, &gateway).await, &[header, &get(&path, "")].concat()).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let seen = app.request(&path).await;
        assert_eq!(seen.all("x-forwarded-for"), ["203.0.113.9"]);
        assert_eq!(seen.all("x-real-ip"), ["203.0.113.9"]);
    }
    let six = b"PROXY TCP6 2001:db8::9 2001:db8::1 51000 443\r\n";
    ask(connect(PROXY, &gateway).await, &[six, &get("/open/six", "")[..]].concat()).await;
    assert_eq!(app.request("/open/six").await.all("x-real-ip"), ["2001:db8::9"]);
    // The proxy's own word about itself: a health check.
    let own = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    ask(connect(PROXY, &gateway).await, &[own, &get("/open/own", "")[..]].concat()).await;
    assert_eq!(app.request("/open/own").await.all("x-real-ip"), ["127.0.0.2"]);
}

#[tokio::test]
async fn a_rule_for_clients_judges_the_announced_visitor_not_the_proxy() {
    let app = App::start().await;
    let gateway = start(&app, "").await;
    let inside = b"PROXY TCP4 10.1.2.3 198.51.100.1 51000 80\r\n";
    let text = ask(connect(PROXY, &gateway).await, &[inside, &get("/inside/a", "")[..]].concat()).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let text = ask(connect(PROXY, &gateway).await, &[VISITOR, &get("/inside/b", "")].concat()).await;
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    // Forged by somebody who is no proxy, in bytes or in a header.
    for bytes in
        [[inside, &get("/inside/c", "")[..]].concat(), get("/inside/c", "X-Forwarded-For: 10.1.2.3\r\n")]
    {
        let text = ask(connect(OTHER, &gateway).await, &bytes).await;
        assert!(text.starts_with("HTTP/1.1 400 ") || text.starts_with("HTTP/1.1 401 "), "{text}");
    }
    assert_eq!(app.seen().len(), 1);
}

#[tokio::test]
async fn who_must_announce_and_does_not_is_turned_away_and_nobody_else_may() {
    let app = App::start().await;
    let gateway = start(&app, "").await;
    assert_eq!(ask(connect(PROXY, &gateway).await, &get("/open/a", "")).await, "");
    for header in [VISITOR, VISITOR_V2] {
        let bytes = [header, &get("/open/b", "")].concat();
        let text = ask(connect(OTHER, &gateway).await, &bytes).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    }
    // Twice is once too often: the second is no request.
    let twice = [VISITOR, VISITOR, &get("/open/c", "")].concat();
    let text = ask(connect(PROXY, &gateway).await, &twice).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(app.seen().is_empty());
    let text = ask(connect(OTHER, &gateway).await, &get("/open/d", "")).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

#[tokio::test]
async fn an_announced_peer_is_trusted_with_forwarding_headers_only_where_it_is_configured() {
    let app = App::start().await;
    let gateway = start(&app, "trusted_proxies = [\"192.0.2.0/24\"]").await;
    let from = "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-Proto: https\r\n";
    // A proxy behind a balancer: the balancer announces it, and it speaks for its visitor.
    let trusted = b"PROXY TCP4 192.0.2.5 198.51.100.1 51000 80\r\n";
    ask(connect(PROXY, &gateway).await, &[trusted, &get("/open/a", from)[..]].concat()).await;
    assert_eq!(app.request("/open/a").await.all("x-real-ip"), ["203.0.113.7"]);
    // Announced, but not trusted; and the balancer itself is not trusted for being one.
    ask(connect(PROXY, &gateway).await, &[VISITOR, &get("/open/b", from)].concat()).await;
    let seen = app.request("/open/b").await;
    assert_eq!((seen.all("x-real-ip"), seen.all("x-forwarded-proto")), (vec!["203.0.113.9"], vec!["http"]));
    let own = b"PROXY UNKNOWN\r\n";
    ask(connect(PROXY, &gateway).await, &[own, &get("/open/c", from)[..]].concat()).await;
    assert_eq!(app.request("/open/c").await.all("x-real-ip"), ["127.0.0.2"]);
}

#[tokio::test]
async fn an_announcement_comes_before_tls() {
    let app = App::start().await;
    let place = Place::new();
    let authority = Authority::make(place.path(), &["localhost"]);
    let config = config(&app, "\"https://127.0.0.1:@PORT@\"", "proxy_protocol = [\"127.0.0.2\"]")
        .replace("[mail]", "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"\n[mail]");
    let gateway = Gateway::start_with(place, &config).await;
    for header in [VISITOR, VISITOR_V2] {
        let mut tcp = connect(PROXY, &gateway).await;
        tcp.write_all(header).await.unwrap();
        let connector = TlsConnector::from(authority.client());
        let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
        let tls = connector.connect(name, tcp).await.unwrap();
        let text = ask(tls, &get("/open/tls", "")).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let seen = app.request("/open/tls").await;
        assert_eq!(
            (seen.all("x-real-ip"), seen.all("x-forwarded-proto")),
            (vec!["203.0.113.9"], vec!["https"])
        );
        app.forget();
    }
}

#[tokio::test]
async fn a_proxy_on_a_unix_socket_announces_as_well() {
    let app = App::start().await;
    let place = Place::new();
    let listen = "\"http://127.0.0.1:@PORT@\", \"unix:@DIR@/web.sock?mode=0600\"";
    let config = config(&app, listen, "proxy_protocol = [\"unix\"]");
    let gateway = Gateway::start_with(place, &config).await;
    let socket = || UnixStream::connect(gateway.place.path().join("web.sock"));
    let text = ask(socket().await.unwrap(), &[VISITOR, &get("/open/unix", "")].concat()).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(app.request("/open/unix").await.all("x-real-ip"), ["203.0.113.9"]);
    assert_eq!(ask(socket().await.unwrap(), &get("/open/no", "")).await, "");
}
