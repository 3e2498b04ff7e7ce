//! Bodies on their way: nothing is held back, nothing is changed, and who leaves is missed at once.

use crate::harness::noise;
use crate::harness::stage::Stage;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const EVENTS: &str = "accept: text/event-stream\r\ncache-control: no-cache\r\nlast-event-id: 41\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_made() {
    let stage = Stage::start().await;
    for (head, close) in [
        ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", true),
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /events", EVENTS)).await;
        let mut app = stage.app().await;
        assert!(app.until("\r\n\r\n").await.contains("\r\nlast-event-id: 41\r\n"));
        app.say(head).await;
        let seen = visitor.until("\r\n\r\n").await;
        assert!(seen.contains("\r\ncontent-type: text/event-stream\r\n"), "the head comes alone: {seen}");
        for number in 0..50 {
            let event = format!("id: {number}\ndata: of {number}\n\n");
            app.say(if close { event.clone() } else { chunk(&event) }).await;
            assert!(visitor.until("\n\n").await.contains(&format!("id: {number}\n")));
        }
        app.say(if close { "" } else { "0\r\n\r\n" }).await;
        drop(app);
        visitor.until("0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn who_waits_for_one_answer_delays_nobody_elses() {
    let stage = Stage::start().await;
    let mut waiting = Vec::new();
    for number in 0..20 {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request(&format!("GET /poll/{number}"), "")).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        waiting.push((number, visitor, app));
    }
    let (_, answer) = stage.exchange(&stage.request("GET /quick", ""), OK, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The last one first.
    for (number, mut visitor, mut app) in waiting.into_iter().rev() {
        let text = format!("news {number}.");
        app.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())).await;
        visitor.until(&text).await;
    }
}

#[tokio::test]
async fn a_listener_who_leaves_is_missed_by_the_app_at_once() {
    let stage = Stage::start().await;
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n: \n\r\n",
        // Before the answer's head, too.
        "",
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /events", EVENTS)).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        if !head.is_empty() {
            app.say(head).await;
            visitor.until(": \n").await;
        }
        drop(visitor);
        assert_eq!(app.rest().await, "");
    }
}

#[tokio::test]
async fn an_upload_reaches_the_app_piece_by_piece() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("PUT /chunked", "transfer-encoding: chunked\r\n")).await;
    let mut app = stage.app().await;
    let head = app.until("\r\n\r\n").await;
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n") && !head.contains("content-length"),
        "{head}"
    );
    for number in 0..50 {
        visitor.say(chunk(&format!("piece {number}."))).await;
        app.until(&format!("piece {number}.\r\n")).await;
    }
    visitor.say("0\r\n\r\n").await;
    app.until("0\r\n\r\n").await;
    app.say(OK).await;
    visitor.until("\r\n\r\nok").await;

    let pieces: Vec<String> = (0..50).map(|number| format!("piece {number}.")).collect();
    let length = pieces.concat().len();
    visitor.say(stage.request("PUT /known", &format!("content-length: {length}\r\n"))).await;
    let head = app.until("\r\n\r\n").await;
    assert!(head.contains(&format!("\r\ncontent-length: {length}\r\n")), "{head}");
    for piece in &pieces {
        visitor.say(piece).await;
        assert_eq!(&app.until(".").await, piece);
    }
    app.say(OK).await;
    visitor.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn both_directions_of_one_request_flow_at_the_same_time() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("POST /echo", "transfer-encoding: chunked\r\n")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    visitor.until("\r\n\r\n").await;
    for number in 0..20 {
        visitor.say(chunk(&format!("ping {number}."))).await;
        app.until(&format!("ping {number}.\r\n")).await;
        app.say(chunk(&format!("pong {number}."))).await;
        visitor.until(&format!("pong {number}.\r\n")).await;
    }
    visitor.say("0\r\n\r\n").await;
    app.until("0\r\n\r\n").await;
    app.say("0\r\n\r\n").await;
    visitor.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_mebibyte_passes_unchanged_with_a_length_and_in_chunks() {
    let stage = Stage::start().await;
    let noise = noise::some(1, 1 << 20);
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /length", "")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", noise.len())).await;
    let (sent, got) = tokio::join!(app.say(&noise), async {
        let head = visitor.until("\r\n\r\n").await;
        assert!(head.contains("\r\ncontent-length: 1048576\r\n"), "{head}");
        visitor.bytes(noise.len()).await
    });
    let () = sent;
    assert!(got == noise, "what came is not what was sent");

    // Chunks of every size around the powers of two.
    visitor.say(stage.request("GET /chunks", "")).await;
    app.until("\r\n\r\n").await;
    let mut framed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut rest = &noise[..];
    for size in [1, 2, 3, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 131_071].iter().cycle()
    {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        framed.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    let ((), got) = tokio::join!(app.say(&framed), async {
        let head = visitor.until("\r\n\r\n").await;
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        let mut body = Vec::new();
        loop {
            let size = visitor.until("\r\n").await;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(visitor.bytes(size).await);
            assert_eq!(visitor.bytes(2).await, b"\r\n");
            if size == 0 {
                return body;
            }
        }
    });
    assert!(got == noise, "what came is not what was sent");
    assert!(visitor.is_silent());
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    let stage = Stage::start().await;
    let packed = noise::some(1, 5000);
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /a.css", "accept-encoding: zstd, br;q=0.9, gzip\r\n")).await;
    let mut app = stage.app().await;
    assert!(app.until("\r\n\r\n").await.contains("\r\naccept-encoding: zstd, br;q=0.9, gzip\r\n"));
    app.say(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\netag: \"packed\"\r\nvary: Accept-Encoding\r\n\
         content-md5: x\r\ncontent-length: 5000\r\n\r\n",
    )
    .await;
    app.say(&packed).await;
    let head = visitor.until("\r\n\r\n").await;
    for line in ["content-encoding: gzip", "etag: \"packed\"", "content-length: 5000"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert_eq!(visitor.bytes(5000).await, packed);

    visitor.say(stage.request("PUT /a", "content-encoding: br\r\ncontent-length: 5000\r\n")).await;
    visitor.say(&packed).await;
    assert!(app.until("\r\n\r\n").await.contains("\r\ncontent-encoding: br\r\n"));
    assert_eq!(app.bytes(5000).await, packed);
    app.say(OK).await;
    visitor.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let head = "te: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, x-more\r\n";
    visitor.say(stage.request("POST /", head) + "2\r\nhi\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n").await;
    let mut app = stage.app().await;
    let head = app.until("\r\n\r\n").await;
    assert!(
        head.contains("\r\nte: trailers\r\n") && head.contains("\r\ntrailer: x-sum, x-more\r\n"),
        "{head}"
    );
    let body = app.until("\r\n\r\n").await;
    assert!(body.contains("\r\nx-sum: 1\r\n") && body.contains("\r\nx-more: 2\r\n"), "{body}");
    app.say(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, server-timing\r\n\r\n\
         2\r\nho\r\n0\r\nx-sum: 2\r\nserver-timing: db;dur=53\r\n\r\n",
    )
    .await;
    let head = visitor.until("\r\n\r\n").await;
    assert!(head.contains("\r\ntrailer: x-sum, server-timing\r\n"), "{head}");
    let body = visitor.until("\r\n\r\n").await;
    assert!(body.contains("\r\nx-sum: 2\r\n") && body.contains("\r\nserver-timing: db;dur=53\r\n"), "{body}");

    // Who did not ask for trailers gets none, and a whole body all the same.
    visitor.say(stage.request("GET /", "")).await;
    app.until("\r\n\r\n").await;
    app.say(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nho\r\n0\r\nx-sum: 2\r\n\r\n",
    )
    .await;
    visitor.until("\r\n\r\n").await;
    assert_eq!(visitor.until("0\r\n\r\n").await, "2\r\nho\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let stage = Stage::start().await;
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /", "")).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        app.say(head).await;
        visitor.until("half").await;
        drop(app);
        let rest = visitor.rest().await;
        assert!(rest.trim().is_empty(), "no end is made up: {rest:?}");
    }
    // An upload that breaks off ends the app's connection likewise.
    for head in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("PUT /", head) + "4\r\nhalf").await;
        let mut app = stage.app().await;
        app.until("half").await;
        drop(visitor);
        let rest = app.rest().await;
        assert!(rest.trim().is_empty(), "no end is made up: {rest:?}");
    }
    let (_, answer) = stage.exchange(&stage.request("GET /", ""), OK, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
