//! HTTP/2 over TLS in front, HTTP/1.1 behind: the same traffic, framed in another way.

use crate::harness::h2::H2;
use crate::harness::h2::piece;
use crate::harness::h2::whole;
use crate::harness::stage::Stage;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use hyper::body::Frame;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn data(text: &str) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn an_upload_of_unknown_length_reaches_the_app_piece_by_piece() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let (feed, answer) = visitor.send(visitor.request("POST", "/up?x=1"));
    let mut app = stage.app().await;
    let head = app.until("\r\n\r\n").await;
    assert!(head.starts_with("POST /up?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n") && !head.contains("content-length"),
        "{head}"
    );
    assert!(
        head.contains("\r\nvia: 2 linkgate\r\n") && head.contains(&format!("\r\nhost: {}\r\n", stage.host))
    );
    for number in 0..20 {
        feed.send(data(&format!("piece {number}."))).await.unwrap();
        app.until(&format!("piece {number}.\r\n")).await;
    }
    drop(feed);
    app.until("0\r\n\r\n").await;
    app.say(OK).await;
    assert_eq!(whole(answer.head().await).await.body, "ok");

    // A length that is known stays known.
    let known = visitor.request("PUT", "/up").header("content-length", "5").header("expect", "100-continue");
    let (feed, answer) = visitor.send(known);
    let head = app.until("\r\n\r\n").await;
    assert!(!head.contains("expect"), "{head}");
    assert!(head.contains("\r\ncontent-length: 5\r\n") && !head.contains("transfer-encoding"), "{head}");
    feed.send(data("hello")).await.unwrap();
    drop(feed);
    app.until("hello").await;
    app.say(OK).await;
    assert_eq!(whole(answer.head().await).await.body, "ok");
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let request = visitor.request("POST", "/").header("te", "trailers").header("trailer", "x-sum");
    let (feed, answer) = visitor.send(request);
    let mut app = stage.app().await;
    let head = app.until("\r\n\r\n").await;
    assert!(head.contains("\r\nte: trailers\r\n") && head.contains("\r\ntrailer: x-sum\r\n"), "{head}");
    feed.send(data("hi")).await.unwrap();
    let trailers = HeaderMap::from_iter([
        ("x-sum".parse().unwrap(), HeaderValue::from_static("1")),
        ("remote-user".parse().unwrap(), HeaderValue::from_static("eve")),
    ]);
    feed.send(Frame::trailers(trailers)).await.unwrap();
    drop(feed);
    assert_eq!(app.until("\r\n\r\n").await, "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
    app.say(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nho\r\n0\r\nx-sum: 2\r\n\
         set-cookie: __Host-linkgate=eve\r\n\r\n",
    )
    .await;
    let answer = whole(answer.head().await).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ho"[..]));
    assert_eq!(
        answer.trailers,
        HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("2"))])
    );
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_made_beside_other_requests() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let events = visitor.start(visitor.request("GET", "/events").header("accept", "text/event-stream"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut events = events.head().await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut other = None;
    for number in 0..20 {
        let event = format!("data: {number:02}\n\n");
        app.say(format!("a\r\n{event}\r\n")).await;
        assert_eq!(piece(events.body_mut()).await, event);
        // On the same connection, while the stream is open.
        let quick = visitor.start(visitor.request("GET", "/quick"));
        if other.is_none() {
            other = Some(stage.app().await);
        }
        let other = other.as_mut().unwrap();
        other.until("\r\n\r\n").await;
        other.say(OK).await;
        assert_eq!(whole(quick.head().await).await.body, "ok");
    }
    drop(events);
    assert_eq!(app.rest().await, "", "the app misses the listener");
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_answered_each_in_its_own_time() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let mut waiting = Vec::new();
    for number in 0..100 {
        let answer = visitor.start(visitor.request("GET", &format!("/{number}")));
        let mut app = stage.app().await;
        assert!(app.until("\r\n\r\n").await.starts_with(&format!("GET /{number} ")));
        waiting.push((number, answer, app));
    }
    for (number, answer, mut app) in waiting.into_iter().rev() {
        let text = format!("answer {number}");
        app.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())).await;
        assert_eq!(whole(answer.head().await).await.body, text);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_request_at_the_app_and_no_other() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let gone = visitor.start(visitor.request("GET", "/gone"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    let stays = visitor.start(visitor.request("GET", "/stays"));
    let mut other = stage.app().await;
    other.until("\r\n\r\n").await;
    gone.abort().await;
    assert_eq!(app.rest().await, "");
    other.say(OK).await;
    assert_eq!(whole(stays.head().await).await.body, "ok");
    // An upload that is reset never ends cleanly at the app.
    let (feed, answer) = visitor.send(visitor.request("PUT", "/half"));
    let mut app = other;
    app.until("\r\n\r\n").await;
    feed.send(data("half")).await.unwrap();
    app.until("half\r\n").await;
    answer.abort().await;
    assert_eq!(app.rest().await, "");
    drop(feed);
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let answer = visitor.start(visitor.request("GET", "/"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    let mut answer = answer.head().await;
    assert_eq!(piece(answer.body_mut()).await, "half");
    drop(app);
    let end = http_body_util::BodyExt::frame(answer.body_mut()).await;
    assert!(end.expect("not a clean end").is_err());
    // The connection goes on.
    let answer = visitor.start(visitor.request("GET", "/"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say(OK).await;
    assert_eq!(whole(answer.head().await).await.body, "ok");
}

#[tokio::test]
async fn heads_statuses_and_cookies_pass() {
    let stage = Stage::secure("http", "").await;
    let visitor = H2::connect(&stage).await;
    let mut app = None;
    for (method, answer, status, body) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n", 200, ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", 304, ""),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("PROPFIND", "HTTP/1.1 207 Multi-Status\r\ncontent-length: 4\r\n\r\n<a/>", 207, "<a/>"),
        (
            "GET",
            "HTTP/1.1 799 End\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\ncontent-length: 1\r\n\r\nx",
            799,
            "x",
        ),
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny",
            200,
            "y",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\ncontent-length: 0\r\n\r\n",
            200,
            "",
        ),
    ] {
        let coming =
            visitor.start(visitor.request(method, "/").header("cookie", "x=1").header("cookie", "y=2"));
        if app.is_none() {
            app = Some(stage.app().await);
        }
        let app = app.as_mut().unwrap();
        let head = app.until("\r\n\r\n").await;
        assert!(head.contains("\r\ncookie: x=1; y=2\r\n"), "{head}");
        app.say(answer).await;
        let got = whole(coming.head().await).await;
        assert_eq!((got.status, &got.body[..]), (status, body.as_bytes()), "{answer}");
        for gone in ["connection", "keep-alive", "link", "transfer-encoding"] {
            assert!(!got.headers.contains_key(gone), "{gone} of {answer}");
        }
        if method == "HEAD" {
            assert_eq!(got.headers["content-length"], "1048576");
        }
        let cookies: Vec<_> = got.headers.get_all("set-cookie").iter().collect();
        assert!(cookies.is_empty() || cookies == ["a=1", "b=2", "a=3"], "{cookies:?}");
    }
}
