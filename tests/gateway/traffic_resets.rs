//! Streams of HTTP/2 that were given up leave something on the way: what still arrives for them ends nobody else's
//! request, on neither side.

use crate::harness::frames::DATA;
use crate::harness::frames::END_HEADERS;
use crate::harness::frames::END_STREAM;
use crate::harness::frames::Frames;
use crate::harness::frames::HEADERS;
use crate::harness::frames::PING;
use crate::harness::frames::RESET;
use crate::harness::frames::SETTINGS;
use crate::harness::frames::block;
use crate::harness::stage::SECURE_HOST;
use crate::harness::stage::Stage;
use crate::harness::stage::Wire;

/// Twice what the library remembers as given up.
const GIVEN_UP: u32 = 100;

/// An app's end of HTTP/2 in clear text, frame by frame.
struct AppFrames(Wire);

impl AppFrames {
    async fn accept(stage: &Stage) -> Self {
        let mut wire = stage.app().await;
        wire.until("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut frames = Self(wire);
        frames.send(SETTINGS, 0, 0, b"").await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.say([&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()).await;
    }

    /// The stream of the next frame of this kind; settings are acknowledged on the way.
    async fn next(&mut self, wanted: u8) -> u32 {
        loop {
            let head = self.0.bytes(9).await;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            self.0.bytes(length).await;
            if head[3] == SETTINGS && head[4] == 0 {
                self.send(SETTINGS, 1, 0, b"").await;
            }
            if head[3] == wanted {
                return u32::from_be_bytes(head[5..].try_into().unwrap());
            }
        }
    }
}

#[tokio::test]
async fn what_an_app_still_sends_to_those_who_left_ends_nobody_elses_request() {
    let stage = Stage::with_scheme("h2c").await;
    let ok = block(&[(":status", "200")]);
    let mut waiting = stage.visitor().await;
    waiting.say(stage.request("GET /waiting", "")).await;
    let mut app = AppFrames::accept(&stage).await;
    let patient = app.next(HEADERS).await;
    let mut given_up = Vec::new();
    for _ in 0..GIVEN_UP {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /endless", "")).await;
        let stream = app.next(HEADERS).await;
        app.send(HEADERS, END_HEADERS, stream, &ok).await;
        app.send(DATA, 0, stream, b"x").await;
        visitor.until("x\r\n").await;
        drop(visitor);
        assert_eq!(app.next(RESET).await, stream);
        given_up.push(stream);
    }
    // What was on its way when they left; each round is looked at before the next one comes.
    for _ in 0..30 {
        for stream in &given_up {
            app.send(DATA, 0, *stream, b"late").await;
        }
        app.send(PING, 0, 0, b"and here").await;
        app.next(PING).await;
    }
    app.send(HEADERS, END_HEADERS, patient, &ok).await;
    app.send(DATA, END_STREAM, patient, b"worth waiting for").await;
    let answer = waiting.until("worth waiting for").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn what_a_visitor_still_sends_after_a_refusal_does_not_end_the_connection() {
    let stage = Stage::secure("http", "").await;
    let authority = stage.authority.as_ref().unwrap();
    let mut visitor = Frames::connect(authority, SECURE_HOST, stage.gateway.place.port, &[]).await;
    let request = |method: &str, path: &str, cookie: &str| {
        block(&[
            (":method", method),
            (":scheme", "https"),
            (":authority", &stage.host),
            (":path", path),
            ("cookie", cookie),
        ])
    };
    // Refused at once, for nobody is signed in; the uploads are on their way all the same.
    for number in 0..GIVEN_UP {
        let stream = 1 + 2 * number;
        visitor.send(HEADERS, END_HEADERS, stream, &request("PUT", "/up", "a=1")).await;
        visitor.send(DATA, 0, stream, b"some").await;
        assert_eq!(visitor.outcome(stream).await, 401);
    }
    for number in 0..GIVEN_UP {
        visitor.send(DATA, 0, 1 + 2 * number, b"more of it").await;
    }
    let last = 1 + 2 * GIVEN_UP;
    visitor.send(HEADERS, END_HEADERS | END_STREAM, last, &request("GET", "/last", &stage.cookie)).await;
    let mut app = stage.app().await;
    assert!(app.until("\r\n\r\n").await.starts_with("GET /last "));
    app.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(visitor.outcome(last).await, 200);
}
