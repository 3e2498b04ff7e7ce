//! What HTTP/1 may say, in both directions: methods, heads, statuses, interim answers, connections kept and closed.
//! Both ends are raw sockets, so that no library tidies up what is sent.

use crate::harness::stage::Stage;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NOTHING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn any_method_reaches_the_app_as_it_was_sent() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let mut app = None;
    for method in ["OPTIONS", "PATCH", "PROPFIND", "MKCOL", "REPORT", "M-SEARCH", "PURGE", "X!$%&'*+.^_`|~9"]
    {
        let body = "content-type: application/xml\r\ncontent-length: 4\r\n";
        visitor.say(stage.request(&format!("{method} /dav?x=1"), body) + "<a/>").await;
        if app.is_none() {
            app = Some(stage.app().await);
        }
        let app = app.as_mut().unwrap();
        let seen = app.until("\r\n\r\n<a/>").await;
        assert!(seen.starts_with(&format!("{method} /dav?x=1 HTTP/1.1\r\n")), "{seen}");
        app.say(OK).await;
        let answer = visitor.until("\r\n\r\nok").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn methods_that_mirror_or_tunnel_are_refused_and_the_app_never_asked() {
    let stage = Stage::start().await;
    for line in ["TRACE /", "CONNECT example.com:443", "propfind /"] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request(line, "")).await;
        let answer = visitor.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 405 ") || answer.starts_with("HTTP/1.1 400 "),
            "{line}: {answer}"
        );
        assert!(!answer.to_ascii_lowercase().contains(&stage.cookie), "{answer}");
    }
    let (seen, _) = stage.exchange(&stage.request("GET /first", ""), NOTHING, "\r\n\r\n").await;
    assert!(seen.starts_with("GET /first "), "nothing came before it: {seen}");
}

#[tokio::test]
async fn a_preflight_without_a_session_passes_where_a_rule_lets_it() {
    let rules = "[[site.app.route]]\npath = \"/api/\"\nmethods = [\"OPTIONS\"]\naccess = \"public\"\n";
    let stage = Stage::with(rules).await;
    let preflight = |path: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: {}\r\norigin: https://other.example.com\r\n\
             access-control-request-method: PATCH\r\naccess-control-request-headers: x-a, content-type\r\n\r\n",
            stage.host
        )
    };
    let allowed = "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: https://other.example.com\r\n\
                   access-control-allow-methods: PATCH\r\naccess-control-max-age: 600\r\nvary: Origin\r\n\r\n";
    let (seen, answer) = stage.exchange(&preflight("/api/x"), allowed, "\r\n\r\n").await;
    assert!(seen.starts_with("OPTIONS /api/x HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\norigin: https://other.example.com\r\n"), "{seen}");
    assert!(seen.contains("\r\naccess-control-request-headers: x-a, content-type\r\n"), "{seen}");
    assert!(seen.contains("\r\nremote-user: \r\n"), "{seen}");
    for line in ["access-control-allow-origin: https://other.example.com", "access-control-max-age: 600"] {
        assert!(answer.contains(line), "{answer}");
    }
    // No rule, no way in: neither elsewhere, nor with the method that was asked about.
    for request in [preflight("/other"), preflight("/api/x").replace("OPTIONS", "PATCH")] {
        let mut visitor = stage.visitor().await;
        visitor.say(&request).await;
        let answer = visitor.until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[tokio::test]
async fn every_set_cookie_arrives_once_and_in_order() {
    let stage = Stage::start().await;
    let sent: Vec<String> = (0..40)
        .map(|n| match n % 4 {
            0 => format!("same=1{n}; Path=/"),
            1 => format!("c{n}=\"a, b; c\"; Expires=Wed, 21 Oct 2037 07:28:00 GMT; HttpOnly"),
            2 => format!("c{n}=; Max-Age=0"),
            _ => format!("c{n}={}; SameSite=None; Secure; Partitioned", "v".repeat(400)),
        })
        .collect();
    let lines: Vec<String> = sent.iter().map(|cookie| format!("Set-Cookie: {cookie}\r\n")).collect();
    let lines = lines.concat();
    let answer = format!("HTTP/1.1 200 OK\r\nx-a: 1\r\n{lines}content-length: 2\r\n\r\nok");
    let (_, seen) = stage.exchange(&stage.request("GET /", ""), &answer, "\r\n\r\nok").await;
    let got: Vec<&str> = seen.split("\r\n").filter_map(|line| line.strip_prefix("set-cookie: ")).collect();
    assert_eq!(got, sent);
}

#[tokio::test]
async fn an_answer_without_a_body_ends_with_its_head() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let mut app = None;
    for (line, answer, kept) in [
        (
            "HEAD /big",
            "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\netag: \"v1\"\r\n\r\n",
            "content-length: 1048576",
        ),
        ("HEAD /chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-b: 1\r\n\r\n", "x-b: 1"),
        ("DELETE /one", "HTTP/1.1 204 No Content\r\nx-b: 1\r\n\r\n", "x-b: 1"),
        (
            "GET /same",
            "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-length: 77\r\n\r\n",
            "etag: \"v1\"",
        ),
        ("POST /reset", "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", "content-length: 0"),
        ("GET /empty", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "content-length: 0"),
        ("HEAD /none", "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n", "content-length: 9"),
    ] {
        visitor.say(stage.request(line, "content-length: 0\r\n")).await;
        if app.is_none() {
            app = Some(stage.app().await);
        }
        let app = app.as_mut().unwrap();
        app.until("\r\n\r\n").await;
        app.say(answer).await;
        let seen = visitor.until("\r\n\r\n").await;
        assert!(seen.contains(&format!("\r\n{kept}\r\n")), "{line}: {seen}");
        assert!(visitor.is_silent(), "{line}: something follows the head");
    }
    // The next answer on the same two connections is not taken for a body of the last.
    visitor.say(stage.request("GET /", "")).await;
    app.as_mut().unwrap().until("\r\n\r\n").await;
    app.as_mut().unwrap().say(OK).await;
    assert!(visitor.until("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn conditional_requests_and_their_answers_pass_word_for_word() {
    let stage = Stage::start().await;
    let conditions = "if-none-match: W/\"a\", \"b,c\"\r\nif-modified-since: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
                      range: bytes=0-0,-5\r\nif-range: \"b,c\"\r\n";
    let same = "HTTP/1.1 304 Not Modified\r\netag: W/\"a\"\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
                vary: Accept-Encoding\r\n\r\n";
    let (asked, answered) = stage.exchange(&stage.request("GET /", conditions), same, "\r\n\r\n").await;
    for line in conditions.lines() {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} in {asked}");
    }
    assert!(answered.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{answered}");
    for line in ["etag: W/\"a\"", "last-modified: Wed, 21 Oct 2015 07:28:00 GMT"] {
        assert!(answered.contains(&format!("\r\n{line}\r\n")), "{line} in {answered}");
    }
    let put =
        stage.request("PUT /", "if-match: \"old\"\r\nif-unmodified-since: Wed, 21 Oct 2015 07:28:00 GMT\r\n");
    let failed = "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 3\r\n\r\nno\n";
    let mut visitor = stage.visitor().await;
    visitor.say(put).await;
    // On whichever connection it comes: the first one is free again.
    let mut app = stage.app().await;
    assert!(app.until("\r\n\r\n").await.contains("\r\nif-match: \"old\"\r\n"));
    app.say(failed).await;
    assert!(visitor.until("\r\n\r\nno\n").await.starts_with("HTTP/1.1 412 Precondition Failed\r\n"));
}

#[tokio::test]
async fn odd_but_legal_statuses_and_reasons_pass() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let mut app = None;
    for line in [
        "200 Yes, of course",
        "207 Multi-Status",
        "218 This is fine",
        "299 Miscellaneous Persistent Warning",
        "300 Multiple Choices",
        "402 Payment Required",
        "418 I'm a teapot",
        "420 Enhance Your Calm",
        "451 Unavailable For Legal Reasons",
        "499 ",
        "509 Bandwidth Limit Exceeded",
        "599 Network Connect Timeout",
        "799 End",
        "999 Request denied",
    ] {
        visitor.say(stage.request("GET /", "")).await;
        if app.is_none() {
            app = Some(stage.app().await);
        }
        let app = app.as_mut().unwrap();
        app.until("\r\n\r\n").await;
        app.say(format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nok")).await;
        let seen = visitor.until("\r\n\r\nok").await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{line}: {seen}");
    }
}

#[tokio::test]
async fn interim_answers_of_the_app_are_dropped_and_the_final_one_passes() {
    let stage = Stage::start().await;
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nset-cookie: early=1\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </b.css>; rel=preload\r\n\r\n{OK}"
    );
    let post = stage.request("POST /", "content-length: 2\r\n") + "hi";
    let (_, seen) = stage.exchange(&post, &answer, "\r\n\r\nok").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
    assert_eq!(seen.matches("HTTP/1.1").count(), 1, "{seen}");
    assert!(!seen.contains("link") && !seen.contains("early"), "{seen}");
}

#[tokio::test]
async fn the_visitor_is_told_to_continue_when_the_app_is_there_to_read_and_the_app_hears_nothing_of_it() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("POST /up", "content-length: 5\r\nexpect: 100-continue\r\n")).await;
    let mut app = stage.app().await;
    assert_eq!(visitor.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    visitor.say("hello").await;
    let seen = app.until("\r\n\r\nhello").await;
    assert!(!seen.to_ascii_lowercase().contains("expect"), "{seen}");
    app.say(OK).await;
    let answer = visitor.until("\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // A client that does not wait is no trouble, and the connection goes on.
    visitor.say(stage.request("POST /up", "content-length: 5\r\nexpect: 100-continue\r\n") + "world").await;
    app.until("\r\n\r\nworld").await;
    app.say(OK).await;
    let answer = visitor.until("\r\n\r\nok").await;
    assert!(
        answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer).starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn who_is_refused_is_not_asked_for_the_body_first() {
    let stage = Stage::with("[[site.app.route]]\npath = \"/small/\"\nmax_body = \"1KiB\"\n").await;
    let big = "content-length: 1000000\r\nexpect: 100-continue\r\n";
    for (request, status) in [
        (format!("POST / HTTP/1.1\r\nhost: {}\r\n{big}\r\n", stage.host), "401"),
        (stage.request("POST /small/x", big), "413"),
        (stage.request("POST /.linkgate/nowhere", big), "404"),
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(&request).await;
        let answer = visitor.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_old_client_gets_an_answer_that_it_can_read() {
    let stage = Stage::start().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    // No length: the end of the connection is the end of the answer.
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request_of("HTTP/1.0", "GET /old", "")).await;
    let mut app = stage.app().await;
    let seen = app.until("\r\n\r\n").await;
    assert!(
        seen.starts_with("GET /old HTTP/1.1\r\n") && seen.contains("\r\nvia: 1.0 linkgate\r\n"),
        "{seen}"
    );
    app.say(chunked).await;
    let answer = visitor.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello") && !answer.contains("chunked"), "{answer}");
    // A length, and the wish to stay.
    let mut visitor = stage.visitor().await;
    for _ in 0..2 {
        visitor.say(stage.request_of("HTTP/1.0", "GET /old", "connection: keep-alive\r\n")).await;
        app.until("\r\n\r\n").await;
        app.say(OK).await;
        let answer = visitor.until("\r\n\r\nok").await;
        assert!(answer.contains("connection: keep-alive\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_old_app_is_understood() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    // Its answers end with its connections: the visitor's stays, and gets the end another way.
    for (answer, end) in [
        ("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nold and closed", "0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nold and closed", "0\r\n\r\n"),
        ("HTTP/1.0 200 OK\r\ncontent-length: 14\r\n\r\nold and closed", "\r\n\r\nold and closed"),
    ] {
        visitor.say(stage.request("GET /", "")).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        app.say(answer).await;
        drop(app);
        let seen = visitor.until(end).await;
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n") && seen.contains("old and closed"), "{seen}");
        assert!(!seen.contains("connection:"), "{seen}");
    }
    // Keep-alive as it was asked for then.
    visitor.say(stage.request("GET /", "")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok").await;
    visitor.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn close_is_said_and_done_on_the_side_that_asked_and_not_on_the_other() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /a", "")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    assert!(!visitor.until("\r\n\r\nok").await.contains("connection"));
    assert_eq!(app.rest().await, "", "a connection that is to close is not used again");
    visitor.say(stage.request("GET /b", "connection: close\r\n")).await;
    let mut app = stage.app().await;
    assert!(!app.until("\r\n\r\n").await.contains("connection: close"));
    app.say(OK).await;
    let answer = visitor.rest().await;
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    // The app's connection is kept for the next visitor.
    let mut next = stage.visitor().await;
    next.say(stage.request("GET /c", "")).await;
    assert!(app.until("\r\n\r\n").await.starts_with("GET /c "));
    app.say(OK).await;
    next.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let mut all = String::new();
    for number in 0..20 {
        all += &match number % 3 {
            0 => stage.request(&format!("GET /{number}"), ""),
            1 => stage.request(&format!("POST /{number}"), "content-length: 3\r\n") + "abc",
            _ => {
                stage.request(&format!("PUT /{number}"), "transfer-encoding: chunked\r\n")
                    + "3\r\nabc\r\n0\r\n\r\n"
            }
        };
    }
    visitor.say(&all).await;
    let mut app = stage.app().await;
    for number in 0..20 {
        let seen = app.until("\r\n\r\n").await;
        assert!(seen.contains(&format!(" /{number} HTTP/1.1\r\n")), "{seen}");
        match number % 3 {
            0 => {}
            1 => assert_eq!(app.until("abc").await, "abc"),
            _ => assert_eq!(app.until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n"),
        }
        let text = format!("answer {number}.");
        app.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())).await;
    }
    for number in 0..20 {
        let seen = visitor.until(&format!("\r\n\r\nanswer {number}.")).await;
        assert_eq!(seen.matches("HTTP/1.1 ").count(), 1, "{seen}");
    }
}

#[tokio::test]
async fn long_headers_pass_in_both_directions() {
    let stage = Stage::start().await;
    let long = "v".repeat(50 * 1024);
    let longer = "w".repeat(200 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\nx-long: {longer}\r\ncontent-length: 2\r\n\r\nok");
    let request = stage.request(&format!("GET /?{}", "q".repeat(8000)), &format!("x-long: {long}\r\n"));
    let (asked, answered) = stage.exchange(&request, &answer, "\r\n\r\nok").await;
    assert!(asked.contains(&format!("\r\nx-long: {long}\r\n")));
    assert!(answered.contains(&format!("\r\nx-long: {longer}\r\n")));
}

#[tokio::test]
async fn as_many_headers_as_are_allowed_pass_and_more_are_refused_by_a_clear_answer() {
    let stage = Stage::start().await;
    let lines = |count: usize| (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect::<Vec<_>>().concat();
    let answer = format!("HTTP/1.1 200 OK\r\n{}content-length: 2\r\n\r\nok", lines(99));
    // Host and cookie are two of the hundred.
    let (asked, answered) = stage.exchange(&stage.request("GET /", &lines(98)), &answer, "\r\n\r\nok").await;
    assert!((0..98).all(|n| asked.contains(&format!("\r\nx-{n}: {n}\r\n"))), "{asked}");
    assert!((0..99).all(|n| answered.contains(&format!("\r\nx-{n}: {n}\r\n"))), "{answered}");

    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /", &lines(99))).await;
    assert!(visitor.rest().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn an_app_with_more_than_a_hundred_headers_is_told_so() {
    let stage = Stage::start().await;
    let lines = "link: </a.js>; rel=preload\r\n".repeat(101);
    let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let (_, answered) = stage.exchange(&stage.request("GET /", ""), &answer, "\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.1 502 "), "{answered}");
    assert!(stage.gateway.log().contains("message head is too large"));
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_not_passed_on() {
    let stage = Stage::start().await;
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray";
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 50\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 50\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-a: 1\r\n folded: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-a: 1\rx-b: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 099 Early\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "ICY 200 OK\r\n\r\nok",
        "it is not even HTTP\r\n\r\n",
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /", "")).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        app.say(format!("{head}{smuggled}")).await;
        let answer = visitor.rest().await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{head:?}: {answer}");
        assert_eq!(app.rest().await, "", "{head:?}: such a connection is not used again");
    }
    // Where chunks and a length are both there, the chunks count, and the connection is not used again.
    let both =
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /", "")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say(format!("{both}{smuggled}")).await;
    let answer = visitor.until("0\r\n\r\n").await;
    assert!(
        answer.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n") && !answer.contains("content-length"),
        "{answer}"
    );
    assert_eq!(app.rest().await, "");
    assert!(visitor.is_silent());
}
