//! Who is too slow, too idle or too many.

use super::*;

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
