//! What was tried against the whole gateway, by hand and over raw sockets, and must not work again.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::raw::exchange;

const ALICE: &str = "alice@example.com";

async fn start(app: &App) -> Gateway {
    Gateway::start(&format!(
        r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["{ALICE}"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{0}"
[[site.app.route]]
path = "/tokens/"
accept = ["bearer"]
[[site.app.route]]
path = "/own/"
accept = ["session", "bearer"]
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/fixed/"
methods = ["DELETE"]
access = "deny"
"#,
        app.url()
    ))
    .await
}

/// A session token, as a browser holds it.
async fn session(gateway: &Gateway) -> String {
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    browser.cookie("localhost", "linkgate")
}

#[tokio::test]
async fn a_cookie_of_the_app_that_is_no_text_signs_nobody_out() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let token = session(&gateway).await;
    let mut bytes =
        format!("GET /umlaut HTTP/1.1\r\nHost: localhost:{}\r\nCookie: a=", gateway.place.port).into_bytes();
    bytes.extend_from_slice(b"M\xfcller; ");
    bytes.extend_from_slice(format!("linkgate={token}\r\nConnection: close\r\n\r\n").as_bytes());
    let answer = exchange(gateway.place.port, &bytes).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let seen = app.request("/umlaut").await;
    assert_eq!(seen.header("remote-user"), ALICE);
    assert!(!seen.header("cookie").contains("linkgate"), "{}", seen.header("cookie"));
}

#[tokio::test]
async fn a_session_on_a_route_for_tokens_is_refused_and_not_sent_in_circles() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    let page = browser.follow(&gateway.url("/tokens/x")).await.expect(403);
    assert!(page.text().contains(ALICE), "{}", page.text());
}

#[tokio::test]
async fn the_app_learns_its_host_from_the_configuration() {
    let app = App::start().await;
    let gateway = start(&app).await;
    for (number, host) in ["LOCALHOST:1", "localhost.", "localhost.:65535"].iter().enumerate() {
        let path = format!("/open/host{number}");
        let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(gateway.place.port, text.as_bytes()).await.status, 200, "{host}");
        let seen = app.request(&path).await;
        let configured = format!("localhost:{}", gateway.place.port);
        assert_eq!(seen.all("host"), [configured.as_str()], "{host}");
        assert_eq!(seen.all("x-forwarded-host"), [configured.as_str()], "{host}");
    }
}

#[tokio::test]
async fn a_token_sent_twice_signs_nobody_in_and_does_not_reach_the_app() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let token = session(&gateway).await;
    let port = gateway.place.port;
    let ask = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{lines}Connection: close\r\n\r\n")
    };
    let ours = format!("Authorization: Bearer {token}\r\n");
    let once = exchange(port, ask("/own/once", &ours).as_bytes()).await;
    assert_eq!(once.status, 200, "{}", once.text);
    assert_eq!(app.request("/own/once").await.header("authorization"), "");
    for (path, lines) in [
        ("/own/twice", format!("{ours}{ours}")),
        ("/own/before", format!("Authorization: Basic YTpi\r\n{ours}")),
        ("/own/behind", format!("{ours}Authorization: Basic YTpi\r\n")),
    ] {
        assert_eq!(exchange(port, ask(path, &lines).as_bytes()).await.status, 401, "{path}");
        let open = path.replace("own", "open");
        assert_eq!(exchange(port, ask(&open, &lines).as_bytes()).await.status, 200, "{open}");
        assert!(!app.request(&open).await.header("authorization").contains(&token), "{open}");
    }
}

#[tokio::test]
async fn a_method_in_small_letters_slips_past_no_rule() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let token = session(&gateway).await;
    for (method, right) in [("DELETE", 403), ("delete", 405), ("Delete", 405), ("POST", 200)] {
        let text = format!(
            "{method} /fixed/x HTTP/1.1\r\nHost: localhost:{}\r\nCookie: linkgate={token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            gateway.place.port
        );
        let answer = exchange(gateway.place.port, text.as_bytes()).await;
        assert_eq!(answer.status, right, "{method}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_trusted_proxy_that_names_nobody_opens_no_rule_for_its_own_address() {
    let app = App::start().await;
    let place = crate::harness::gateway::Place::new();
    let head =
        crate::harness::gateway::HEAD.replace("state_dir", "trusted_proxies = [\"127.0.0.0/8\"]\nstate_dir");
    let config = format!(
        r#"{head}
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["{ALICE}"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{0}"
[[site.app.route]]
path = "/near/"
access = "public"
clients = ["127.0.0.0/8", "10.0.0.0/8"]
"#,
        app.url()
    );
    let gateway = Gateway::start_with(place, &config).await;
    let port = gateway.place.port;
    for (more, right) in [
        ("", 401),
        ("X-Forwarded-Proto: http\r\n", 401),
        ("X-Forwarded-For: 192.0.2.1\r\n", 401),
        ("X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\n", 401),
        ("X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1\r\n", 401),
        ("X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n", 200),
    ] {
        let text =
            format!("GET /near/x HTTP/1.1\r\nHost: localhost:{port}\r\n{more}Connection: close\r\n\r\n");
        assert_eq!(exchange(port, text.as_bytes()).await.status, right, "{more}");
    }
    assert_eq!(app.request("/near/x").await.header("x-forwarded-for"), "10.0.0.1", "a forged hop ends here");
}
