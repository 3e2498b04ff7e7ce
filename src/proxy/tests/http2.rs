//! Apps that speak HTTP/2: what they read, and that nobody who shares a connection with others gets in their way. The
//! app is the h2 crate itself, so that every frame is dictated by the test.

mod ends;

use std::future::poll_fn;

use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::SendStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Version;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::house::House;
use super::house::LONG;
use super::house::Local;
use super::house::Plan;
use super::house::SHORT;
use super::house::in_house;
use super::house::until;
use crate::policy::Protocol;
use crate::policy::Upstream;
use crate::policy::UpstreamHost;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";

fn h2c() -> Plan {
    let upstream = |port| {
        let mut upstream = Upstream::http("127.0.0.1", port);
        upstream.endpoints[0].protocol = Protocol::H2c;
        upstream
    };
    let mut plan = Plan { upstream: Box::new(upstream), ..Plan::usual() };
    plan.limits.max_body = None;
    plan
}

/// One connection that the proxy opened, as the app sees it.
struct App {
    asked: mpsc::UnboundedReceiver<Asked>,
    goes: mpsc::UnboundedSender<()>,
}

struct Asked {
    request: Request<RecvStream>,
    answer: SendResponse<Bytes>,
}

impl App {
    async fn accept(house: &House, streams: u32) -> Self {
        Self::on(house.app().await.into_socket(), streams).await
    }

    async fn on(socket: TcpStream, streams: u32) -> Self {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(streams).initial_window_size(1 << 16);
        let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
        let (asking, asked) = mpsc::unbounded_channel();
        let (goes, mut going) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            loop {
                tokio::select! {
                    asked = connection.accept() => {
                        let Some(Ok((request, answer))) = asked else { return };
                        let _ = asking.send(Asked { request, answer });
                    }
                    Some(()) = going.recv() => connection.graceful_shutdown(),
                }
            }
        });
        Self { asked, goes }
    }

    async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(LONG, self.asked.recv()).await;
        asked.expect("a request comes").expect("the connection is open")
    }

    /// Takes no new requests, and finishes those that it has.
    fn goes_away(&self) {
        self.goes.send(()).unwrap();
    }
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).map(|value| value.to_str().unwrap())
    }

    async fn body(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let body = self.request.body_mut();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            all.extend_from_slice(&piece);
        }
        all
    }

    fn begin(&mut self) -> SendStream<Bytes> {
        self.answer.send_response(Response::new(()), false).unwrap()
    }

    fn ok(&mut self) {
        self.begin().send_data(Bytes::from_static(b"ok"), true).unwrap();
    }

    /// Waits until the proxy gives this stream up.
    async fn reset(&mut self) -> Reason {
        poll_fn(|cx| self.answer.poll_reset(cx)).await.unwrap()
    }
}

#[test]
fn the_app_reads_a_request_of_http_2() {
    for (wish, authority) in [
        (UpstreamHost::Visitor, "wiki.example.com"),
        (UpstreamHost::Upstream, "127.0.0.1:PORT"),
        (UpstreamHost::Fixed(HeaderValue::from_static("inner.example")), "inner.example"),
    ] {
        in_house(Plan { host: wish, ..h2c() }, async |house| {
            let authority = authority.replace("PORT", &house.port().to_string());
            let mut visitor = house.visitor().await;
            visitor
                .say(
                    "POST /a//b?c HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, x-hop, keep-alive\r\n\
                    x-hop: 1\r\nkeep-alive: 5\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n\
                    cookie: a=1\r\ncookie: b=2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                )
                .await;
            let mut app = App::accept(&house, 10).await;
            let mut asked = app.asked().await;
            assert_eq!(asked.request.version(), Version::HTTP_2);
            assert_eq!(asked.request.uri().to_string(), format!("http://{authority}/a//b?c"));
            assert_eq!(asked.header("te"), Some("trailers"));
            assert_eq!(asked.header("cookie"), Some("a=1; b=2"));
            assert_eq!(asked.header("x-forwarded-host"), Some("wiki.example.com"));
            assert_eq!(asked.header("remote-user"), Some("1017"));
            for gone in [
                "host",
                "connection",
                "keep-alive",
                "upgrade",
                "transfer-encoding",
                "x-hop",
                "content-length",
            ] {
                assert_eq!(asked.header(gone), None, "{gone}");
            }
            assert_eq!(asked.body().await, b"hi");
            asked.ok();
            assert!(visitor.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        });
    }
}

#[test]
fn trailers_pass_both_ways() {
    in_house(Plan { http2: true, ..h2c() }, async |house| {
        let (mut visitor, connection) = h2::client::handshake(house.socket().await).await.unwrap();
        tokio::task::spawn_local(connection);
        let request =
            Request::post("https://wiki.example.com/grpc").header("te", "trailers").body(()).unwrap();
        let (answer, mut sending) = visitor.send_request(request, false).unwrap();
        sending.send_data(Bytes::from_static(b"ask"), false).unwrap();
        let trailers = |name: &'static str, value: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert(name, HeaderValue::from_static(value));
            trailers.insert("remote-user", HeaderValue::from_static("eve"));
            trailers
        };
        sending.send_trailers(trailers("x-sum", "1")).unwrap();

        let mut app = App::accept(&house, 10).await;
        let mut asked = app.asked().await;
        assert_eq!(asked.header("te"), Some("trailers"));
        assert_eq!(asked.body().await, b"ask");
        let seen = asked.request.body_mut().trailers().await.unwrap().unwrap();
        assert_eq!((seen["x-sum"].as_bytes(), seen.len()), (&b"1"[..], 1));
        let mut answering = asked.begin();
        answering.send_data(Bytes::from_static(b"told"), false).unwrap();
        answering.send_trailers(trailers("grpc-status", "0")).unwrap();

        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "told");
        let seen = body.trailers().await.unwrap().unwrap();
        assert_eq!((seen["grpc-status"].as_bytes(), seen.len()), (&b"0"[..], 1));
    });
}

#[test]
fn many_who_come_at_once_share_one_connection() {
    in_house(h2c(), async |house| {
        let mut visitors = Vec::new();
        for _ in 0..50 {
            let mut visitor = house.visitor().await;
            visitor.say(POST).await;
            visitors.push(visitor);
        }
        until("all of them wait", || house.under_way() == 50).await;
        let mut app = App::accept(&house, 100).await;
        for _ in 0..50 {
            app.asked().await.ok();
        }
        for visitor in &mut visitors {
            visitor.until("ok").await;
        }
        assert_eq!(house.shared(), 1);
    });
}

#[test]
fn one_whose_visitor_leaves_while_it_is_opened_is_opened_by_the_next() {
    in_house(h2c(), async |house| {
        let mut first = house.visitor().await;
        first.say(GET).await;
        // Connected, and not greeted yet.
        let silent = house.app().await;
        let mut second = house.visitor().await;
        second.say(GET).await;
        until("both wait", || house.under_way() == 2).await;
        drop(first);
        let mut app = App::accept(&house, 10).await;
        app.asked().await.ok();
        second.until("ok").await;
        drop(silent);
    });
}

#[test]
fn beyond_what_the_app_takes_at_once_another_connection_is_opened() {
    in_house(h2c(), async |house| {
        let mut one = house.visitor().await;
        one.say(GET).await;
        let mut first = App::accept(&house, 1).await;
        let mut held = first.asked().await;
        let mut two = house.visitor().await;
        two.say(GET).await;
        let mut second = App::accept(&house, 1).await;
        second.asked().await.ok();
        two.until("ok").await;
        held.ok();
        one.until("ok").await;
        assert_eq!(house.shared(), 2);
    });
}

#[test]
fn a_reader_who_takes_nothing_delays_nobody_on_the_same_connection() {
    in_house(h2c(), async |house| {
        let mut app = None;
        let mut lazy = Vec::new();
        // Each answer is larger than a stream's window and all buffers on the way.
        let piece = Bytes::from(vec![b'x'; 8 << 20]);
        let mut answering = Vec::new();
        for _ in 0..20 {
            let mut visitor = house.visitor().await;
            visitor.say(GET).await;
            let app = match &mut app {
                None => app.insert(App::accept(&house, 100).await),
                Some(app) => app,
            };
            let mut stream = app.asked().await.begin();
            stream.send_data(piece.clone(), true).unwrap();
            answering.push(stream);
            visitor.until("\r\n\r\n").await;
            lazy.push(visitor);
        }
        let app = app.as_mut().unwrap();
        for _ in 0..5 {
            let mut quick = house.visitor().await;
            quick.say(GET).await;
            app.asked().await.begin().send_data(piece.slice(..1 << 20), true).unwrap();
            let answer = quick.until("\r\n\r\n").await;
            assert!(answer.contains("content-length") || answer.contains("chunked"), "{answer}");
            quick.until(&"x".repeat(4096)).await;
        }
        assert_eq!(house.shared(), 1);
    });
}

#[test]
fn an_upload_that_the_app_does_not_take_holds_up_no_other_upload() {
    in_house(h2c(), async |house| {
        let mut stuck = house.visitor().await;
        stuck.say(format!("POST /stuck HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 4 << 20)).await;
        let mut first = App::accept(&house, 100).await;
        let held = first.asked().await;
        // More than the app's window for the whole connection: it is never given back.
        let (reader, mut writer) = tokio::io::split(stuck.into_socket());
        let writing = tokio::task::spawn_local(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &vec![b'x'; 4 << 20]).await
        });
        let flow = || held.request.body().is_end_stream();
        assert!(!flow());
        tokio::time::sleep(SHORT * 10).await;
        let mut other = house.visitor().await;
        other.say(POST).await;
        let mut second = App::accept(&house, 100).await;
        let mut asked = second.asked().await;
        assert_eq!(asked.body().await, b"hi");
        asked.ok();
        other.until("ok").await;
        // Without a body nothing waits for that window.
        let mut third = house.visitor().await;
        third.say(GET).await;
        first.asked().await.ok();
        third.until("ok").await;
        writing.abort();
        drop(reader);
    });
}

#[test]
fn an_app_that_goes_away_finishes_what_it_has_and_costs_nobody_a_post() {
    in_house(h2c(), async |house| {
        let mut one = house.visitor().await;
        one.say(GET).await;
        let mut old = App::accept(&house, 100).await;
        let mut held = old.asked().await;
        old.goes_away();
        let mut two = house.visitor().await;
        let mut new = None;
        // Until the word has come over, requests may still go the old way, and are served.
        for _ in 0..3 {
            two.say(POST).await;
            let mut asked = if let Some(app) = &mut new {
                App::asked(app).await
            } else {
                tokio::select! {
                    asked = old.asked() => asked,
                    app = App::accept(&house, 100) => App::asked(new.insert(app)).await,
                }
            };
            assert_eq!(asked.body().await, b"hi");
            asked.ok();
            two.until("ok").await;
        }
        assert!(new.is_some());
        held.ok();
        one.until("ok").await;
    });
}

#[test]
fn a_get_that_the_app_refuses_to_hear_is_asked_once_more() {
    in_house(h2c(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = App::accept(&house, 100).await;
        app.asked().await.ok();
        visitor.until("ok").await;
        visitor.say(GET).await;
        app.asked().await.answer.send_reset(Reason::REFUSED_STREAM);
        let mut again = App::accept(&house, 100).await;
        again.asked().await.ok();
        visitor.until("ok").await;
        // What the app broke off by itself is not asked again.
        visitor.say(GET).await;
        again.asked().await.answer.send_reset(Reason::INTERNAL_ERROR);
        visitor.until("HTTP/1.1 502 ").await;
    });
}

#[test]
fn a_post_that_the_app_never_looked_at_is_sent_anew_from_its_beginning() {
    in_house(h2c(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
        for _ in 0..2 {
            let mut app = App::accept(&house, 100).await;
            let mut asked = app.asked().await;
            assert_eq!(asked.request.body_mut().data().await.unwrap().unwrap(), "one");
            asked.answer.send_reset(Reason::REFUSED_STREAM);
        }
        let mut app = App::accept(&house, 100).await;
        let mut asked = app.asked().await;
        visitor.say("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(asked.body().await, b"onetwo");
        asked.ok();
        visitor.until("ok").await;
    });
}

#[test]
fn a_post_that_the_app_may_have_looked_at_and_one_too_long_to_keep_are_not() {
    in_house(h2c(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(POST).await;
        let mut app = App::accept(&house, 100).await;
        let mut asked = app.asked().await;
        assert_eq!(asked.body().await, b"hi");
        asked.answer.send_reset(Reason::CANCEL);
        visitor.until("HTTP/1.1 502 ").await;

        let mut visitor = house.visitor().await;
        let length = 300_000;
        visitor.say(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
        visitor.say(vec![b'x'; length]).await;
        let mut asked = app.asked().await;
        assert_eq!(asked.body().await.len(), length);
        asked.answer.send_reset(Reason::REFUSED_STREAM);
        visitor.until("HTTP/1.1 502 ").await;
    });
}

#[test]
fn a_visitor_who_leaves_resets_the_own_stream_only() {
    in_house(h2c(), async |house| {
        let mut stays = house.visitor().await;
        stays.say(GET).await;
        let mut app = App::accept(&house, 100).await;
        let mut held = app.asked().await;
        // Before the answer, within it, and within an upload.
        let mut leaves = house.visitor().await;
        leaves.say(GET).await;
        let mut asked = app.asked().await;
        drop(leaves);
        assert_eq!(asked.reset().await, Reason::CANCEL);

        let mut leaves = house.visitor().await;
        leaves.say(GET).await;
        let mut asked = app.asked().await;
        let mut stream = asked.begin();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        leaves.until("half").await;
        drop(leaves);
        assert_eq!(poll_fn(|cx| stream.poll_reset(cx)).await.unwrap(), Reason::CANCEL);

        let mut leaves = house.visitor().await;
        leaves.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
        let mut asked = app.asked().await;
        asked.request.body_mut().data().await.unwrap().unwrap();
        drop(leaves);
        assert_eq!(asked.reset().await, Reason::CANCEL);

        held.ok();
        stays.until("ok").await;
        assert_eq!(house.shared(), 1);
    });
}

#[test]
fn an_answer_before_the_upload_has_ended_ends_the_upload() {
    in_house(h2c(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
        let mut app = App::accept(&house, 100).await;
        let mut asked = app.asked().await;
        asked.request.body_mut().data().await.unwrap().unwrap();
        asked.ok();
        visitor.until("ok").await;
        let cut = asked.request.body_mut().data().await.unwrap().unwrap_err();
        assert_eq!(cut.reason(), Some(Reason::CANCEL));
    });
}

#[test]
fn a_stream_that_is_reset_within_its_body_has_no_clean_end() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        in_house(h2c(), async |house| {
            let mut visitor = house.visitor().await;
            visitor.say(GET).await;
            let mut app = App::accept(&house, 100).await;
            let mut stream = app.asked().await.begin();
            stream.send_data(Bytes::from_static(b"half"), false).unwrap();
            visitor.until("half").await;
            stream.send_reset(reason);
            assert!(!visitor.rest().await.contains("0\r\n\r\n"), "{reason:?}");
        });
    }
}
