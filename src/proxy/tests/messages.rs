//! What is said: headers, trailers, cookies, framing.

use super::house::Local;
use super::house::Plan;
use super::house::in_house;
use crate::policy::IdentityHeaders;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Sends a request and returns what the app reads of it.
fn seen_by_the_app(plan: Plan, request: &str) -> String {
    let mut seen = String::new();
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(request).await;
        let mut app = house.app().await;
        seen = app.until("\r\n\r\n").await;
        app.say(OK).await;
        visitor.until("\r\n\r\n").await;
    });
    seen
}

/// Answers a request and returns what the visitor reads of it.
fn seen_by_the_visitor(request: &str, answer: &str, end: &str) -> String {
    let mut seen = String::new();
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(request).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        app.say(answer).await;
        seen = visitor.until(end).await;
    });
    seen
}

const SPOOFED: &str = "GET /a/./b//c?q=%2F&x HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: Remote-User, X-Hop\r\n\
    X-Hop: 1\r\nRemote-User: eve\r\nremote_user: eve\r\nRemote.Email: eve\r\nX_Forwarded_For: eve\r\n\
    X-Forwarded-User: eve\r\nX-Auth-Request-Email: eve\r\nForwarded: for=eve\r\nX-Original-URL: /eve\r\n\
    X_HTTP_Method_Override: EVE\r\nProxy: eve\r\nLinkgate_Assertion: eve\r\nX-My-Name: eve\r\nx.my_name: eve\r\n\
    Via: 1.0 cdn\r\nExpect: nothing\r\nUpgrade: eve\r\nAccept: text/plain\r\n\r\n";

#[test]
fn nothing_that_a_visitor_claims_reaches_the_app() {
    let seen = seen_by_the_app(Plan::usual(), SPOOFED);
    assert!(seen.starts_with("GET /a/./b//c?q=%2F&x HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.to_lowercase().contains("eve"), "{seen}");
    assert!(!seen.contains("x-hop") && !seen.contains("connection") && !seen.contains("expect"), "{seen}");
    for line in [
        "host: wiki.example.com",
        "remote-user: 1017",
        "remote-email: alice@example.com",
        "remote-name: Alice",
        "remote-groups: family,staff",
        "linkgate-assertion: signed",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: wiki.example.com",
        "x-forwarded-port: 443",
        "x-real-ip: 192.0.2.7",
        "x-request-id: r-1",
        "via: 1.0 cdn",
        "via: 1.1 linkgate",
        "accept: text/plain",
    ] {
        assert_eq!(seen.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {seen}");
    }
}

#[test]
fn where_nobody_is_known_every_identity_header_is_empty() {
    let seen = seen_by_the_app(Plan { signed_in: false, ..Plan::usual() }, SPOOFED);
    for name in ["remote-user", "remote-email", "remote-name", "remote-groups", "linkgate-assertion"] {
        assert!(seen.contains(&format!("\r\n{name}: \r\n")), "{name} in {seen}");
    }
    assert!(!seen.to_lowercase().contains("eve"), "{seen}");
}

#[test]
fn a_table_of_one_route_is_reserved_on_all_and_filled_on_its_own() {
    let request = "GET /table/ HTTP/1.1\r\nhost: a\r\nX_My_Name: eve\r\nremote-user: eve\r\n\r\n";
    let seen = seen_by_the_app(Plan::usual(), request);
    assert!(seen.contains("\r\nx-my-name: Alice\r\n") && !seen.contains("eve"), "{seen}");
    let plan = Plan { identity: IdentityHeaders::XForwarded, ..Plan::usual() };
    let seen = seen_by_the_app(plan, "GET / HTTP/1.1\r\nhost: a\r\nX_My_Name: eve\r\n\r\n");
    assert!(seen.contains("\r\nx-forwarded-user: 1017\r\n") && !seen.contains("eve"), "{seen}");
}

#[test]
fn what_one_route_says_in_a_header_no_visitor_says_on_another() {
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nX_App_Role: eve\r\nx-app-role: eve\r\naccept-language: fr\r\n\r\n";
    let seen = seen_by_the_app(Plan::usual(), request);
    assert!(!seen.contains("eve") && seen.contains("\r\naccept-language: fr\r\n"), "{seen}");
    let seen = seen_by_the_app(Plan::usual(), &request.replacen("GET /", "GET /table/", 1));
    assert!(
        seen.contains("\r\nx-app-role: chief\r\n") && seen.contains("\r\naccept-language: de\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("eve"), "{seen}");
}

#[test]
fn our_credentials_stay_with_us() {
    let head = "HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\ncookie: a=1\r\n\
        cookie: __Host-linkgate=s; b=2; linkgate-login=n\r\n\r\n";
    let seen = seen_by_the_app(Plan::usual(), &format!("GET /bearer {head}"));
    assert!(seen.contains("\r\ncookie: a=1; b=2\r\n"), "{seen}");
    assert!(!seen.contains("authorization"), "{seen}");
    let seen = seen_by_the_app(Plan::usual(), &format!("GET / {head}"));
    assert!(seen.contains("\r\nauthorization: Bearer t\r\n"), "{seen}");
}

#[test]
fn answers_keep_their_own_cookies_and_lose_what_leads_around_us() {
    let answer = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: __Host-linkgate=x\r\nSet-Cookie: b=2\r\n\
        Alt-Svc: h3\r\nNEL: {}\r\nReport-To: {}\r\nReporting-Endpoints: x\r\nClear-Site-Data: \"*\"\r\n\
        Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nX-App: yes\r\n\
        Content-Length: 2\r\n\r\nok";
    let seen = seen_by_the_visitor("GET / HTTP/1.1\r\nhost: a\r\n\r\n", answer, "\r\n\r\nok");
    assert!(seen.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"), "{seen}");
    assert!(seen.contains("x-app: yes\r\n") && seen.contains("content-length: 2\r\n"), "{seen}");
    for gone in
        ["linkgate", "alt-svc", "nel", "report", "clear-site", "hop", "connection", "keep-alive", "proxy-"]
    {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[test]
fn trailers_are_cleaned_both_ways() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor
            .say(
                "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\
                trailer: x-sum, remote_user, x-my-name, cookie\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\
                remote_user: eve\r\nx-my-name: eve\r\ncookie: eve\r\n\r\n",
            )
            .await;
        let mut app = house.app().await;
        let head = app.until("\r\n\r\n").await;
        assert!(head.contains("\r\nte: trailers\r\n") && head.contains("\r\nconnection: te\r\n"), "{head}");
        assert_eq!(app.until("0\r\nx-sum: 1\r\n\r\n").await, "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
        app.say(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, set-cookie, remote-user\r\n\r\n\
            2\r\nho\r\n0\r\nx-sum: 2\r\nset-cookie: __Host-linkgate=x\r\nremote-user: eve\r\n\r\n",
        )
        .await;
        visitor.until("\r\n\r\n").await;
        assert_eq!(visitor.until("0\r\nx-sum: 2\r\n\r\n").await, "2\r\nho\r\n0\r\nx-sum: 2\r\n\r\n");
    });
}

#[test]
fn bodies_are_framed_anew() {
    let seen = seen_by_the_app(Plan::usual(), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert!(seen.contains("\r\ncontent-length: 0\r\n"), "{seen}");
    let seen = seen_by_the_app(Plan::usual(), "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    assert!(seen.contains("\r\ncontent-length: 2\r\n") && !seen.contains("transfer-encoding"), "{seen}");
    let chunked = "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let seen = seen_by_the_app(Plan::usual(), chunked);
    assert!(
        seen.contains("\r\ntransfer-encoding: chunked\r\n") && !seen.contains("content-length"),
        "{seen}"
    );
}

#[test]
fn answers_without_a_body_keep_what_describes_it() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 123\r\n\r\n";
    let seen = seen_by_the_visitor("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", head, "\r\n\r\n");
    assert!(seen.contains("\r\ncontent-length: 123\r\n"), "{seen}");
    let none = "HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n";
    let seen = seen_by_the_visitor("DELETE / HTTP/1.1\r\nhost: a\r\n\r\n", none, "\r\n\r\n");
    assert!(seen.starts_with("HTTP/1.1 204 ") && !seen.contains("content-length"), "{seen}");
    let same = "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n";
    let seen = seen_by_the_visitor("GET / HTTP/1.1\r\nhost: a\r\n\r\n", same, "\r\n\r\n");
    assert!(seen.starts_with("HTTP/1.1 304 ") && seen.contains("etag"), "{seen}");
}

#[test]
fn early_hints_are_dropped_and_a_switch_of_protocols_is_a_fault() {
    let hinted = format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{OK}");
    let seen = seen_by_the_visitor("GET / HTTP/1.1\r\nhost: a\r\n\r\n", &hinted, "\r\n\r\n");
    assert!(seen.starts_with("HTTP/1.1 200 ") && !seen.contains("link"), "{seen}");
    let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let seen = seen_by_the_visitor("GET / HTTP/1.1\r\nhost: a\r\n\r\n", switched, "\n");
    assert!(seen.starts_with("HTTP/1.1 502 "), "{seen}");
}

#[test]
fn crumbs_of_http_2_become_one_cookie_line() {
    in_house(Plan { http2: true, ..Plan::usual() }, async |house| {
        let io = hyper_util::rt::TokioIo::new(house.socket().await);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Local, io).await.unwrap();
        tokio::task::spawn_local(connection);
        let request = http::Request::get("https://wiki.example.com/h2?x")
            .header("cookie", "a=1")
            .header("cookie", "__Host-linkgate=s")
            .header("cookie", "b=2")
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = tokio::task::spawn_local(sender.send_request(request));
        let mut app = house.app().await;
        let seen = app.until("\r\n\r\n").await;
        assert!(seen.starts_with("GET /h2?x HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\ncookie: a=1; b=2\r\n") && seen.contains("\r\nvia: 2 linkgate\r\n"),
            "{seen}"
        );
        app.say(OK).await;
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    });
}
