//! Idle connections give back what they need for requests, and nobody notices.

use super::*;

/// Waits until that many connections have been parked.
async fn parked(server: &Server<House>, times: u64) {
    while server.counters().parked.load(Relaxed) < times {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ask(socket: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), request: &[u8], end: &str) {
    socket.write_all(request).await.unwrap();
    let answer = read_until(socket, end).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(end), "{answer}");
}

#[tokio::test]
async fn a_parked_connection_answers_as_before_however_it_came_and_whatever_was_asked_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let unix = Listen::Unix { path: path.clone(), mode: 0o600, group: None };
    let secure = secure(vec![unix]);
    let (server, plain_server) = (&secure.server, plain());
    let (mut first, mut second) =
        (tls(&secure, "localhost", b"http/1.1").await.unwrap(), UnixStream::connect(path).await.unwrap());
    let mut third = TcpStream::connect(plain_server.1).await.unwrap();
    let chunked = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5;a=b\r\nhello\r\n0\r\n\r\n";
    for round in 1..=2 {
        ask(&mut first, &get("/a", ""), " /a").await;
        ask(&mut second, &get("/a", ""), " /a").await;
        ask(&mut third, chunked, "hello").await;
        parked(server, 2 * round).await;
        parked(&plain_server.0, round).await;
    }
    // Two requests at once, the second of which can be read in two ways: counted anew after parking.
    let two = [get("/b", ""), get("/c#d", "")].concat();
    third.write_all(&two).await.unwrap();
    let answer = read_until(&mut third, "one way.\n").await;
    assert!(answer.contains(" /b") && answer.contains("HTTP/1.1 400 "), "{answer}");
    ask(&mut first, &get("/a", "Connection: close\r\n"), " /a").await;
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "TLS says goodbye");
    assert_eq!(server.counters().accepted.load(Relaxed), 2);
    server.drain().await;
    plain_server.0.drain().await;
}

#[tokio::test]
async fn a_parked_connection_ends_with_its_time_or_with_the_server() {
    let mut short = settings(vec![Listen::Http(loopback())]);
    short.limits.idle_timeout = Duration::from_secs(4);
    let (server, address, _) = start(short);
    let (mut idle, mut leaves) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    ask(&mut idle, &get("/a", ""), " /a").await;
    ask(&mut leaves, &get("/a", ""), " /a").await;
    parked(&server, 2).await;
    drop(leaves);
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0);
    assert_eq!(server.counters().timed_out.load(Relaxed), 0, "asked to end, not cut");
    server.drain().await;

    let (server, address, _) = plain();
    let mut idle = TcpStream::connect(address).await.unwrap();
    ask(&mut idle, &get("/a", ""), " /a").await;
    parked(&server, 1).await;
    let began = Instant::now();
    assert_eq!(server.drain().await, 0);
    assert!(began.elapsed() < Duration::from_secs(1), "at once");
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_is_not_parked_while_an_answer_or_half_a_request_is_on_its_way() {
    let (server, address, house) = plain();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&get("/large", "")).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    ask(&mut half, &get("/a", ""), " /a").await;
    half.write_all(b"GET /b HTTP/1.1\r\n").await.unwrap();
    let mut waits = TcpStream::connect(address).await.unwrap();
    waits.write_all(&get("/wait", "")).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    ask(&mut idle, &get("/a", ""), " /a").await;
    // The idle one is parked in the same sweep at the earliest, and once more after another request.
    parked(&server, 1).await;
    ask(&mut idle, &get("/a", ""), " /a").await;
    parked(&server, 2).await;
    assert_eq!(server.counters().parked.load(Relaxed), 2);
    ask(&mut half, b"Host: localhost\r\n\r\n", " /b").await;
    house.released.add_permits(1);
    assert!(read_until(&mut waits, " /wait").await.ends_with(" /wait"));
    let head = read_until(&mut slow, "\r\n\r\n").await;
    assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
    let mut body = vec![0; LARGE];
    slow.read_exact(&mut body).await.unwrap();
    assert!(body.iter().all(|byte| *byte == b'x'));
    ask(&mut slow, &get("/a", ""), " /a").await;
    server.drain().await;
}

#[tokio::test]
async fn a_silent_visitor_of_a_drain_is_waited_for_a_moment_and_one_that_asks_is_answered() {
    let (server, address, _) = plain();
    let mut fresh = TcpStream::connect(address).await.unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    while server.counters().accepted.load(Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let asks = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        fresh.write_all(&get("/late", "")).await.unwrap();
        let mut answer = String::new();
        fresh.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(" /late") && answer.contains("connection: close"), "{answer}");
    };
    let (cut, ()) = tokio::join!(server.drain(), asks);
    assert_eq!(cut, 0);
    drop(silent);
}

#[tokio::test]
async fn a_tls_answer_that_was_slow_to_leave_does_not_end_its_connection_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut short = settings(vec![Listen::Https(loopback())]);
    short.limits.body_timeout = Duration::from_millis(2500);
    let pair = certificate(folder.path(), "a", "DNS:localhost", "30");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&pair.0).unwrap()).unwrap();
    short.tls = Some(Tls { certificates: vec![pair] });
    let (server, address, house) = start(short);
    let secure = Secure { server, address, house, folder, roots };
    let mut socket = tls(&secure, "localhost", b"http/1.1").await.unwrap();
    socket.write_all(&get("/large", "")).await.unwrap();
    read_until(&mut socket, "\r\n\r\n").await;
    let mut body = vec![0; LARGE];
    socket.read_exact(&mut body).await.unwrap();
    parked(&secure.server, 1).await;
    ask(&mut socket, &get("/a", ""), " /a").await;
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 0);
    secure.server.drain().await;
}
