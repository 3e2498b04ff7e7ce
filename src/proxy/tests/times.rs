//! How long is waited for whom.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::house::Plan;
use super::house::SHORT;
use super::house::in_house;
use crate::policy::Upstream;
use crate::proxy::ForwardError;
use crate::proxy::connect::Line;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn an_app_that_is_not_there_is_refused() {
    in_house(Plan::usual(), async |mut house| {
        house.app_goes_away();
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        assert!(visitor.until("Refused").await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn an_app_that_takes_no_connections_is_given_up() {
    in_house(Plan::usual(), async |_house| {
        // Nobody accepts: once the queue is full, the system lets further callers wait.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let _queue = socket.listen(0).unwrap();
        let upstream = Upstream::http("127.0.0.1", port);
        let line = Line::new(&upstream.endpoints[0], None, None).unwrap();
        let mut taken = Vec::new();
        let given_up = loop {
            match line.connect(false, SHORT).await {
                Ok(socket) if taken.len() < 64 => taken.push(socket),
                other => break other.err(),
            }
        };
        assert!(matches!(given_up, Some(ForwardError::ConnectTimeout)), "{given_up:?}");
    });
}

#[test]
fn who_is_one_too_many_is_told_at_once_and_the_next_one_passes() {
    let mut plan = Plan::usual();
    plan.settings.max_under_way = 1;
    in_house(plan, async |house| {
        let mut first = house.visitor().await;
        first.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        let mut second = house.visitor().await;
        second.say(GET).await;
        assert!(second.until("Full").await.starts_with("HTTP/1.1 503 "));
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        first.until("\r\n\r\nok").await;
        second.say(GET).await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert!(second.until("\r\n\r\nok").await.contains("HTTP/1.1 200 "));
    });
}

#[test]
fn an_app_that_does_not_answer_is_not_waited_for() {
    let mut plan = Plan::usual();
    plan.limits.response_timeout = SHORT;
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        assert!(visitor.until("ResponseTimeout").await.starts_with("HTTP/1.1 504 "));
        assert!(app.rest().await.starts_with("GET / "));
    });
}

#[test]
fn an_answer_that_stands_still_is_cut() {
    let mut plan = Plan::usual();
    plan.limits.idle_timeout = SHORT;
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        visitor.until("half\r\n").await;
        assert_eq!(visitor.rest().await, "");
        assert_eq!(app.rest().await, "");
    });
}

#[test]
fn a_visitor_whose_body_stands_still_is_to_blame_not_the_app() {
    let mut plan = Plan::usual();
    plan.settings.body_timeout = SHORT * 3;
    plan.limits.response_timeout = SHORT;
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
        let mut app = house.app().await;
        assert!(visitor.until("BodyTimeout").await.starts_with("HTTP/1.1 408 "));
        assert!(app.rest().await.ends_with("half"));
    });
}

#[test]
fn an_app_that_sends_no_end_of_interim_answers_is_not_listened_to() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        let mut app = app.into_socket();
        let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(1000);
        let flooding = async {
            let mut sent = 0;
            while app.write_all(flood.as_bytes()).await.is_ok() {
                sent += flood.len();
                assert!(sent < 64 << 20, "{sent} bytes of interim answers were taken");
            }
        };
        let ((), answer) = tokio::join!(flooding, visitor.until("no end of what comes before its head"));
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    });
}

#[test]
fn an_app_may_send_many_interim_answers_a_long_head_and_a_long_body_as_often_as_it_likes() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(2000);
        let (long, body) = ("x".repeat(200_000), "y".repeat(2_000_000));
        let answer =
            format!("{hints}HTTP/1.1 200 OK\r\nx-long: {long}\r\ncontent-length: 2000002\r\n\r\n{body}ok");
        for _ in 0..4 {
            app.until("\r\n\r\n").await;
            let (seen, ()) = tokio::join!(visitor.until("yok"), app.say(&answer));
            assert!(seen.starts_with("HTTP/1.1 200 ") && seen.len() > 2_200_000);
            visitor.say(GET).await;
        }
    });
}
