//! The PROXY protocol.

use super::*;

fn announcing(mut settings: Settings) -> Settings {
    settings.proxy_protocol = Trust { networks: vec!["127.0.0.2/32".parse().unwrap()], ..Trust::default() };
    settings
}

/// A connection from that address of the loopback.
async fn from(ip: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((ip, 0))).unwrap();
    socket.connect(address).await.unwrap()
}

async fn ask(mut socket: TcpStream, bytes: &[u8]) -> String {
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const PROXY: [u8; 4] = [127, 0, 0, 2];
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n";

#[tokio::test]
async fn who_must_announce_is_heard_and_who_must_not_is_refused() {
    let (server, address, _) = start(announcing(settings(vec![Listen::Http(loopback())])));
    let who = get("/who", "Connection: close\r\n");
    let answer = ask(from(PROXY, address).await, &[HEADER, &who].concat()).await;
    assert!(answer.ends_with("Ip(192.0.2.7:51000) 443"), "{answer}");
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xc7\x38\x01\xbb", &who[..]].concat();
    let answer = ask(from(PROXY, address).await, &v2).await;
    assert!(answer.ends_with("Ip(192.0.2.7:51000) 443"), "{answer}");
    for own in [b"PROXY UNKNOWN\r\n".as_slice(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let answer = ask(from(PROXY, address).await, &[own, &who].concat()).await;
        assert!(
            answer.contains("Ip(127.0.0.2:") && answer.ends_with(&format!(" {}", address.port())),
            "{answer}"
        );
    }
    assert_eq!(ask(from(PROXY, address).await, &who).await, "", "it must announce");
    for bytes in [[HEADER, &who].concat(), v2.clone()] {
        let answer = exchange(address, &bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("192.0.2.7"), "{answer}");
    }
    let answer = exchange(address, &who).await;
    assert!(answer.contains("Ip(127.0.0.1:"), "{answer}");
    assert_eq!(server.counters().announcements_refused.load(Relaxed), 1);
    server.drain().await;
}

#[tokio::test]
async fn an_announcement_comes_before_tls_and_may_come_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = announcing(settings(vec![Listen::Https(loopback())]));
    let pair = certificate(folder.path(), "a", "DNS:localhost", "30");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&pair.0).unwrap()).unwrap();
    settings.tls = Some(Tls { certificates: vec![pair] });
    let (server, address, _) = start(settings);
    for piece in [HEADER.len(), 1, 7] {
        let mut tcp = from(PROXY, address).await;
        tcp.set_nodelay(true).unwrap();
        for piece in HEADER.chunks(piece) {
            tcp.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut socket = connect_tls(&roots, "localhost", b"http/1.1", tcp).await.unwrap();
        socket.write_all(&get("/who", "")).await.unwrap();
        let answer = read_until(&mut socket, " 443").await;
        assert!(answer.ends_with("Ip(192.0.2.7:51000) 443"), "{answer}");
    }
    let tcp = from(PROXY, address).await;
    assert!(
        connect_tls(&roots, "localhost", b"http/1.1", tcp).await.is_err(),
        "TLS alone is no announcement"
    );
    let tcp = from([127, 0, 0, 1], address).await;
    assert!(connect_tls(&roots, "localhost", b"http/1.1", tcp).await.is_ok(), "nobody else announces");
    server.drain().await;
}

#[tokio::test]
async fn the_limit_for_a_client_counts_whom_a_proxy_announces() {
    let mut tight = announcing(settings(vec![Listen::Http(loopback())]));
    tight.limits.connections_per_client = 1;
    let (server, address, _) = start(tight);
    let mut open = Vec::new();
    for visitor in 1..=5 {
        let mut socket = from(PROXY, address).await;
        let header = format!("PROXY TCP4 192.0.2.{visitor} 198.51.100.1 51000 443\r\n");
        socket.write_all(&[header.as_bytes(), &get("/a", "")].concat()).await.unwrap();
        assert!(read_until(&mut socket, " /a").await.ends_with(" /a"));
        open.push(socket);
    }
    let again = [b"PROXY TCP4 192.0.2.3 198.51.100.1 51001 443\r\n", &get("/b", "")[..]].concat();
    assert_eq!(ask(from(PROXY, address).await, &again).await, "");
    assert_eq!(server.counters().refused_client.load(Relaxed), 1);
    // The announced visitor is known here by its own connections as well.
    open.remove(2);
    let again = [&again[..again.len() - 2], b"Connection: close\r\n\r\n"].concat();
    loop {
        // Until the server has seen that the first one left.
        let answer = ask(from(PROXY, address).await, &again).await;
        if answer.ends_with(" /b") {
            break;
        }
        assert_eq!(answer, "");
    }
    server.drain().await;
}

#[tokio::test]
async fn a_silent_or_dawdling_announcer_is_cut() {
    let mut slow = announcing(settings(vec![Listen::Http(loopback())]));
    slow.limits.header_timeout = Duration::from_millis(500);
    let (server, address, _) = start(slow);
    let (silent, half) = tokio::join!(async { ask(from(PROXY, address).await, b"").await }, async {
        ask(from(PROXY, address).await, b"PROXY TCP4 192").await
    },);
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
    assert_eq!(server.counters().timed_out.load(Relaxed), 2);
    server.drain().await;
}

#[tokio::test]
async fn a_unix_socket_can_be_announced_on_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let mut settings = settings(vec![Listen::Unix { path: path.clone(), mode: 0o600, group: None }]);
    settings.proxy_protocol = Trust { unix: true, ..Trust::default() };
    let server = Server::start(settings, House::new("first"), well()).unwrap();
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(&[HEADER, &get("/who", "Connection: close\r\n")].concat()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("Ip(192.0.2.7:51000) 443"), "{answer}");
    server.drain().await;
}
