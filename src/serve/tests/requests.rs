//! Requests as they come: kept apart, refused when they can be read in two ways, answered in order.

use super::*;

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
    // The connection is closed while the panic is still on its way to be counted.
    while server.counters().panics.load(Relaxed) != 1 {
        tokio::task::yield_now().await;
    }
    server.drain().await;
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

#[tokio::test]
async fn who_asks_for_another_protocol_in_vain_is_looked_at_as_before() {
    let (server, address, _) = plain();
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for second in ["/b#c HTTP/1.1\r\nHost: localhost\r\n\r\n", "/b HTTP/1.1\nHost: localhost\r\n\r\n"] {
        let bytes = [get("/a", upgrade), b"GET ".to_vec(), second.into(), get("/smuggled", "")].concat();
        let answer = exchange(address, &bytes).await;
        assert!(answer.contains("first /a") && answer.contains("HTTP/1.1 400 "), "{answer}");
        assert!(!answer.contains("smuggled"), "{answer}");
    }
    server.drain().await;
}
