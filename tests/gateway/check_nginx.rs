//! `/check/nginx`: what nginx asks before it passes a request on by itself. 200, 401 or 403, whatever is asked.

use crate::harness::PATIENCE;
use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::raw;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const IDENTITY: [&str; 4] = ["remote-user", "remote-email", "remote-name", "remote-groups"];

/// An app that only nginx knows, and a site whose TLS ends at nginx.
const SITES: &str = r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["alice@example.com", "bob@example.com"]
[[site.user]]
email = "alice@example.com"
name = "Alice"
id = "1017"
[[site.app]]
host = "localhost"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/staff/"
allow = ["alice@example.com"]
[[site.app.route]]
path = "/closed/"
access = "deny"
[[site.app.route]]
path = "= /bye"
access = "sign-out"
[[site.app.route]]
path = "/feed/"
methods = ["GET"]
access = "public"
[[site.app.route]]
path = "/near/"
clients = ["203.0.113.0/24"]
access = "public"
[[site.app.route]]
path = "/token/"
accept = ["bearer"]

[[site]]
name = "photos"
url = "https://photos.example.com"
upstream = "http://127.0.0.1:1"
allow = ["alice@example.com"]
"#;

async fn start() -> Gateway {
    trusting("[\"127.0.0.1\"]").await
}

async fn trusting(peers: &str) -> Gateway {
    Gateway::start_with(Place::new(), &format!("trusted_proxies = {peers}\n{HEAD}{SITES}")).await
}

/// `wiki.example.com` of `https://wiki.example.com:8443/page`: the name of nginx's server.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}

/// Asks with these headers and the name of nginx's server.
async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    let host = headers.iter().find(|(name, _)| *name == "x-original-url").map_or("", |(_, url)| host_of(url));
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "x-forwarded-host") {
        headers.push(("x-forwarded-host", host));
    }
    let headers = headers.as_slice();
    let url = format!("http://127.0.0.1:{}/.linkgate/check/nginx", gateway.place.port);
    let answer = try_fetch(None, "GET", &url, headers, Vec::new()).await.unwrap();
    assert!(matches!(answer.status, 200 | 401 | 403), "{headers:?} got {}", answer.status);
    assert!(answer.body.is_empty(), "{headers:?} got a body");
    assert_eq!(answer.header("content-length"), "0");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("set-cookie"), "");
    answer
}

/// As nginx asks for a GET of this path on the first site.
async fn may(gateway: &Gateway, who: &Browser, path: &str) -> Answer {
    let (url, cookies) = (gateway.url(path), who.cookies("localhost"));
    let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("cookie", &cookies)];
    ask(gateway, &headers).await
}

async fn signed_in(gateway: &Gateway, email: &str) -> Browser {
    let browser = Browser::new();
    gateway.sign_in(&browser, email, &gateway.url("/")).await;
    browser
}

#[tokio::test]
async fn who_is_signed_in_passes_with_every_identity_header_and_an_assertion() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    let yes = may(&gateway, &alice, "/page?x=1").await.expect(200);
    assert_eq!(yes.header("remote-user"), "1017");
    assert_eq!(yes.header("remote-email"), ALICE);
    assert_eq!(yes.header("remote-name"), "Alice");
    assert_eq!(yes.headers.get("remote-groups").expect("set, though empty"), "");
    let assertion = yes.header("linkgate-assertion");
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).expect("a token")).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], gateway.url(""));
    assert_eq!(claims["email"], ALICE);
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_where_to_and_comes_back_to_the_very_address() {
    let gateway = start().await;
    let nobody = Browser::new();
    let wish = "/a b?q=\"<x>&y=%2F+ü".replace(' ', "%20");
    let no = may(&gateway, &nobody, &wish).await.expect(401);
    assert_eq!(no.header("www-authenticate"), "Bearer realm=\"linkgate\"");
    let location = no.header("location");
    assert!(location.starts_with(&gateway.url("/.linkgate/login?return_to=http%3A%2F%2F")), "{location}");
    assert!(!location.contains(['"', '<', ' ']), "{location}");
    let page = nobody.follow(&location).await.expect(200);
    assert!(
        page.field("return_to").ends_with("/a%20b?q=%22%3Cx%3E&y=%2F+%C3%BC"),
        "{}",
        page.field("return_to")
    );
}

#[tokio::test]
async fn an_address_too_long_for_nginx_loses_its_query_then_its_path() {
    let gateway = start().await;
    let nobody = Browser::new();
    let query = may(&gateway, &nobody, &format!("/kept?{}", "q".repeat(3_000))).await.expect(401);
    assert!(query.header("location").ends_with("%2Fkept"), "{}", query.header("location"));
    let path = may(&gateway, &nobody, &format!("/{}", "p".repeat(3_000))).await.expect(401);
    assert_eq!(path.header("location"), gateway.url("/.linkgate/login"));
}

#[tokio::test]
async fn a_public_path_passes_with_empty_identity_headers() {
    let gateway = start().await;
    let yes = may(&gateway, &Browser::new(), "/open/x").await.expect(200);
    for name in IDENTITY.iter().chain(&["linkgate-assertion"]) {
        assert_eq!(yes.headers.get(*name).unwrap_or_else(|| panic!("{name} is missing")), "", "{name}");
    }
    let alice = signed_in(&gateway, ALICE).await;
    assert_eq!(may(&gateway, &alice, "/open/x").await.expect(200).header("remote-email"), ALICE);
}

#[tokio::test]
async fn what_a_rule_refuses_is_403_for_whoever_asks() {
    let gateway = start().await;
    let bob = signed_in(&gateway, BOB).await;
    assert_eq!(may(&gateway, &bob, "/").await.status, 200);
    for path in [
        "/staff/",
        "/%73taff/x",
        "/closed/x",
        "/bye",
        // Bob's session is no token: to sign in would lead back here.
        "/token/",
        // Odd: passes only where every rule would let him.
        "/open//x",
        "/open/..%2fstaff",
        "/open/;x",
        // Ours, in whatever spelling.
        "/.linkgate/session",
        "/.linkgate",
        "/.Linkgate/login",
        "/%2elinkgate/login",
        "/x/..//.linkgate/",
    ] {
        let no = may(&gateway, &bob, path).await;
        assert_eq!(no.status, 403, "{path}");
        assert!(no.header("location").is_empty() && no.header("remote-email").is_empty(), "{path}");
    }
    let alice = signed_in(&gateway, ALICE).await;
    assert_eq!(may(&gateway, &alice, "/staff/x").await.status, 200);
    assert_eq!(may(&gateway, &Browser::new(), "/.linkgate/login").await.status, 403);
}

#[tokio::test]
async fn nobody_is_answered_unless_the_configuration_trusts_them() {
    for peers in ["[\"192.0.2.0/24\"]", "[\"192.0.2.1\"]"] {
        let gateway = trusting(peers).await;
        let alice = signed_in(&gateway, ALICE).await;
        assert_eq!(may(&gateway, &alice, "/open/x").await.status, 403);
        assert_eq!(may(&gateway, &alice, "/").await.status, 403);
        assert!(gateway.log().contains("trusted_proxies = [\"127.0.0.1\"]"), "{}", gateway.log());
    }
}

#[tokio::test]
async fn nginx_forwards_to_the_very_host_that_is_judged() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    let (url, cookies, port) = (gateway.url("/open/x"), alice.cookies("localhost"), gateway.place.port);
    let with_port = format!("localhost:{port}");
    for (server, status) in [
        ("localhost", 200),
        ("LOCALHOST.", 200),
        (&with_port, 200),
        // As of `GET https://photos.example.com/ HTTP/1.1` with `Host: localhost`.
        ("photos.example.com", 403),
        ("_", 403),
        ("", 403),
        ("*.localhost", 403),
        (".localhost", 403),
        ("localhost, photos.example.com", 403),
        ("~^.*$", 403),
    ] {
        let question = [
            ("x-original-url", url.as_str()),
            ("x-original-method", "GET"),
            ("x-forwarded-host", server),
            ("cookie", &cookies),
        ];
        assert_eq!(ask(&gateway, &question).await.status, status, "{server}");
    }
    let log = gateway.log();
    assert_eq!(log.matches("server_name with the very host").count(), 1, "{log}");
    assert!(log.contains("proxy_set_header X-Forwarded-Host $server_name;"), "{log}");
}

#[tokio::test]
async fn the_method_and_the_client_are_the_visitors_and_not_nginxs() {
    let gateway = start().await;
    let url = gateway.url("/feed/");
    for (method, status) in
        [("GET", 200), ("POST", 401), ("get", 403), ("TRACE", 403), ("CONNECT", 403), ("", 403)]
    {
        let no = ask(&gateway, &[("x-original-url", &url), ("x-original-method", method)]).await;
        assert_eq!(no.status, status, "{method}");
    }
    let url = gateway.url("/near/");
    let own = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
    for (client, status) in [
        ("203.0.113.9", 200),
        ("203.0.113.9, 198.51.100.7", 401),
        ("198.51.100.7, 203.0.113.9", 200),
        ("198.51.100.7", 401),
        ("somewhere", 403),
    ] {
        let mut headers = own.to_vec();
        headers.push(("x-forwarded-for", client));
        assert_eq!(ask(&gateway, &headers).await.status, status, "{client}");
    }
    // nginx's own address is nobody's.
    assert_eq!(ask(&gateway, &own).await.status, 401);
}

#[tokio::test]
async fn an_incomplete_or_ambiguous_question_is_refused() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    let cookies = alice.cookies("localhost");
    let good = gateway.url("/open/x");
    let (url, method) = (("x-original-url", good.as_str()), ("x-original-method", "GET"));
    assert_eq!(ask(&gateway, &[url, method]).await.status, 200);
    let port = gateway.place.port;
    let addresses = [
        String::new(),
        "/open/x".into(),
        format!("//localhost:{port}/open/x"),
        format!("localhost:{port}/open/x"),
        format!("HTTP://localhost:{port}/open/x"),
        format!("ws://localhost:{port}/open/x"),
        format!("http:/localhost:{port}/open/x"),
        format!("http://localhost:{port}"),
        format!("http://localhost:{port}?/open/x"),
        format!("http://localhost:{port}#/open/x"),
        format!("http://localhost:{port}/open/x#y"),
        format!("http://a@localhost:{port}/open/x"),
        format!("http://localhost:{port}:1/open/x"),
        format!("http://localhost,evil.example:{port}/open/x"),
        format!("http://localhost:{port}\\/open/x"),
        format!("http://localhost:{port}/open/%zz"),
        "http:///open/x".into(),
        "http://evil.example/open/x".into(),
        format!("http://localhost:{port}/open/{}", "x".repeat(17_000)),
    ];
    for address in &addresses {
        let headers = [("x-original-url", address.as_str()), method, ("cookie", &cookies)];
        assert_eq!(ask(&gateway, &headers).await.status, 403, "{address}");
    }
    let server = ("x-forwarded-host", "localhost");
    let twice = [&[url, url, method][..], &[url, method, method], &[url, method, server, server]];
    for headers in [&[url][..], &[method], &[]].into_iter().chain(twice) {
        assert_eq!(ask(&gateway, headers).await.status, 403, "{headers:?}");
    }
    assert!(gateway.log().contains("proxy_set_header X-Original-URL"), "{}", gateway.log());
    assert!(gateway.log().contains("proxy_set_header X-Original-Method"), "{}", gateway.log());
}

#[tokio::test]
async fn a_host_is_found_however_it_is_written_and_its_scheme_must_be_the_visitors() {
    let gateway = start().await;
    let port = gateway.place.port;
    for (url, status) in [
        (format!("http://LOCALHOST.:{port}/open/x"), 200),
        ("https://localhost/open/x".to_owned(), 200),
        ("https://photos.example.com/".to_owned(), 401),
        ("https://Photos.Example.com.:443/".to_owned(), 401),
        ("http://photos.example.com/".to_owned(), 403),
    ] {
        let answer = ask(&gateway, &[("x-original-url", &url), ("x-original-method", "GET")]).await;
        assert_eq!(answer.status, status, "{url}");
        if url.contains("hotos") && status == 401 {
            let location = answer.header("location");
            let wanted =
                "https://photos.example.com/.linkgate/login?return_to=https%3A%2F%2Fphotos.example.com%2F";
            assert_eq!(location, wanted);
        }
    }
    assert!(gateway.log().contains("the host is https, but the other proxy says"), "{}", gateway.log());
}

#[tokio::test]
async fn a_session_of_one_host_is_worth_nothing_at_another_and_neither_are_two() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    let session = alice.cookie("localhost", "linkgate");
    let other = format!("__Host-linkgate={session}");
    let elsewhere = [
        ("x-original-url", "https://photos.example.com/"),
        ("x-original-method", "GET"),
        ("cookie", other.as_str()),
    ];
    assert_eq!(ask(&gateway, &elsewhere).await.status, 401);
    let url = gateway.url("/");
    for (cookies, status) in [
        (format!("linkgate={session}"), 200),
        (format!("linkgate={session}; linkgate={session}"), 401),
        (format!("linkgate={session}x"), 401),
        (format!("a=b; linkgate=broken; linkgate={session}"), 200),
    ] {
        let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("cookie", &cookies)];
        assert_eq!(ask(&gateway, &headers).await.status, status);
    }
    let bearer = format!("Bearer {session}");
    let url = gateway.url("/token/");
    let headers =
        [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("authorization", &bearer)];
    assert_eq!(ask(&gateway, &headers).await.status, 200);
}

#[tokio::test]
async fn a_revoked_session_passes_no_more() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    assert_eq!(may(&gateway, &alice, "/").await.status, 200);
    gateway.run(&["session", "revoke", "--email", ALICE]).await;
    eventually("the session has ended", async || {
        (may(&gateway, &alice, "/").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_is_never_waited_for_and_ends_the_connection() {
    let gateway = start().await;
    let port = gateway.place.port;
    for (method, framing) in [
        ("POST", "content-length: 5"),
        ("GET", "content-length: 5"),
        ("PUT", "transfer-encoding: chunked"),
        ("PATCH", "content-length: 5\r\nexpect: 100-continue"),
    ] {
        let head = format!(
            "{method} /.linkgate/check/nginx HTTP/1.1\r\nhost: any.example\r\nx-original-method: GET\r\n\
             x-forwarded-host: localhost\r\n\
             x-original-url: http://localhost:{port}/open/x\r\n{framing}\r\n\r\n"
        );
        let answer = raw::exchange(port, head.as_bytes()).await;
        assert_eq!(answer.status, 200, "{method} {framing}: {}", answer.text);
        assert!(
            answer.closed && !answer.text.contains("100 Continue"),
            "{method} {framing}: {}",
            answer.text
        );
    }
    // Without one the connection is kept, whatever the method.
    for method in ["GET", "POST", "OPTIONS", "PROPFIND", "HEAD"] {
        let head = format!(
            "{method} /.linkgate/check/nginx HTTP/1.1\r\nhost: any.example\r\nx-original-method: GET\r\n\
             x-forwarded-host: localhost\r\n\
             x-original-url: http://localhost:{port}/open/x\r\n\r\n"
        );
        let answer = raw::exchange(port, head.repeat(2).as_bytes()).await;
        assert_eq!((answer.status, answer.answers), (200, 2), "{method}: {}", answer.text);
        assert!(!answer.closed, "{method}: {}", answer.text);
    }
}

#[tokio::test]
async fn other_spellings_of_the_question_are_no_question() {
    let gateway = start().await;
    let url = gateway.url("/open/x");
    let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
    for path in
        ["/.linkgate/check/nginx/", "/.linkgate/check", "/%2elinkgate/check/nginx", "//.linkgate/check/nginx"]
    {
        let answer = try_fetch(None, "GET", &gateway.url(path), &headers, Vec::new()).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_websocket() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    let (url, cookies, own) = (gateway.url("/socket"), alice.cookies("localhost"), gateway.url(""));
    let question = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("cookie", &cookies)];
    // nginx keeps Upgrade to itself; what the browser says beside it comes through.
    for mark in
        [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13"), ("upgrade", "x")]
    {
        for (origins, status) in [
            (&[own.as_str()][..], 200),
            (&[], 200),
            (&["https://evil.example"], 403),
            (&["null"], 403),
            (&[own.as_str(), "https://evil.example"], 403),
        ] {
            let mut headers = question.to_vec();
            headers.push(mark);
            headers.extend(origins.iter().map(|origin| ("origin", *origin)));
            assert_eq!(ask(&gateway, &headers).await.status, status, "{mark:?} {origins:?}");
        }
    }
    let mut headers = question.to_vec();
    headers.push(("origin", "https://evil.example"));
    assert_eq!(ask(&gateway, &headers).await.status, 200, "what opens no WebSocket is the app's to judge");
}

/// As nginx asks for the answer to a visitor whom it did not let through.
async fn challenge(
    gateway: &Gateway,
    who: &Browser,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
) -> Answer {
    let url = format!("http://127.0.0.1:{}/.linkgate/challenge", gateway.place.port);
    let (original, cookies) = (gateway.url(path), who.cookies("localhost"));
    let mut headers =
        vec![("x-original-url", original.as_str()), ("x-original-method", method), ("cookie", &cookies)];
    headers.push(("x-forwarded-host", host_of(&original)));
    headers.extend(more);
    try_fetch(None, "GET", &url, &headers, Vec::new()).await.unwrap()
}

#[tokio::test]
async fn who_may_not_pass_gets_the_answer_that_the_original_request_deserves() {
    let gateway = start().await;
    let (nobody, html) = (Browser::new(), &[("accept", "text/html")][..]);
    let page = challenge(&gateway, &nobody, "GET", "/page?x=1", html).await.expect(303);
    assert!(page.location().ends_with("page%3Fx%3D1"), "{}", page.location());
    let lost = challenge(&gateway, &nobody, "POST", "/page", html).await.expect(401);
    assert!(lost.text().contains("/.linkgate/login"), "{}", lost.text());
    let json = challenge(&gateway, &nobody, "GET", "/page", &[("accept", "*/*")]).await.expect(401);
    assert_eq!(json.json()["type"], "urn:linkgate:problem:not-signed-in");
    assert!(!json.header("www-authenticate").is_empty());

    let bob = signed_in(&gateway, BOB).await;
    let denied = challenge(&gateway, &bob, "GET", "/staff/", html).await.expect(403);
    assert!(denied.text().contains(BOB), "{}", denied.text());
    assert_eq!(challenge(&gateway, &bob, "GET", "/staff/", &[]).await.status, 403);
    let away = challenge(&gateway, &bob, "GET", "/bye", html).await.expect(303);
    assert!(away.location().ends_with("/.linkgate/logout"), "{}", away.location());
    // Nothing that this says is ever a yes.
    for path in ["/", "/open/x", "/.linkgate/login", "/%2elinkgate/session"] {
        assert_eq!(challenge(&gateway, &bob, "GET", path, html).await.status, 403, "{path}");
    }
    let stranger = trusting("[\"192.0.2.1\"]").await;
    let refused = challenge(&stranger, &nobody, "GET", "/page", html).await.expect(403);
    assert!(!refused.text().contains("trusted_proxies"), "{}", refused.text());
    assert!(stranger.log().contains("trusted_proxies"), "{}", stranger.log());
}

#[tokio::test]
async fn nginx_on_a_unix_socket_is_trusted_as_unix_and_nobody_else_with_it() {
    let head = HEAD.replace("listen = [", "listen = [\"unix:@DIR@/web.sock\", ");
    let config = format!("trusted_proxies = [\"unix\"]\n{head}{SITES}");
    let gateway = Gateway::start_with(Place::new(), &config).await;
    let alice = signed_in(&gateway, ALICE).await;
    assert_eq!(may(&gateway, &alice, "/").await.status, 403, "by TCP");
    let question = |more: &str| {
        format!(
            "GET /.linkgate/check/nginx HTTP/1.1\r\nhost: linkgate\r\nx-original-url: {}\r\nx-original-method: GET\r\n\
             x-forwarded-host: localhost\r\n{more}connection: close\r\n\r\n",
            gateway.url("/near/"),
        )
    };
    let ask = async |question: String| {
        let mut socket = UnixStream::connect(gateway.place.path().join("web.sock")).await.unwrap();
        socket.write_all(question.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    let answer = ask(question(&format!("cookie: {}\r\n", alice.cookies("localhost")))).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(ALICE), "{answer}");
    for (client, status) in [("203.0.113.9", 200), ("198.51.100.7", 401)] {
        let answer = ask(question(&format!("x-forwarded-for: {client}\r\n"))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{client}: {answer}");
    }
}
