//! Bad input, row by row: what has gone wrong in other gateways, and what this one answers. Every row has its expected
//! status, and in the end the app's own record says what got through. THREATS: docs/threat-model.md names these rows.

use crate::harness::app::App;
use crate::harness::app::Seen;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::raw::RawAnswer;
use crate::harness::raw::exchange;

const ALICE: &str = "alice@example.com";

async fn start(app: &App) -> Gateway {
    Gateway::start(&format!(
        r#"
header_timeout = "1s"
body_timeout = "1s"
max_body = "64KiB"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{0}"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/inside/"
access = "public"
clients = ["10.0.0.0/8"]
[[site.app.route]]
path = "/closed/"
access = "deny"
[[site]]
name = "other"
url = "http://other.localhost:@PORT@"
upstream = "{0}"
allow = ["bob@example.com"]
"#,
        app.url()
    ))
    .await
}

/// One row: what it is, the bytes (`HOST` stands for the site's host), and the statuses that are right.
struct Row {
    name: String,
    bytes: Vec<u8>,
    right: &'static [u16],
    /// The connection must end with the answer: nothing after it may be read as a request.
    ends: bool,
}

fn row(name: impl Into<String>, text: impl AsRef<[u8]>, right: &'static [u16]) -> Row {
    Row { name: name.into(), bytes: text.as_ref().to_vec(), right, ends: false }
}

const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n";

/// Two programs could read these in two ways, so nobody reads them (RFC 9112 §6, §11.2).
fn framing() -> Vec<Row> {
    let heads: &[(&str, &str)] = &[
        ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked"),
        ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 6"),
        ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ("TE.TE other", "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
        ("TE twice in one", "Transfer-Encoding: chunked, chunked"),
        ("TE gzip", "Transfer-Encoding: gzip, chunked"),
        ("TE chunked not last", "Transfer-Encoding: chunked, identity"),
        ("TE identity", "Transfer-Encoding: identity"),
        ("TE unknown", "Transfer-Encoding: xchunked"),
        ("TE empty", "Transfer-Encoding:"),
        ("TE quoted", "Transfer-Encoding: \"chunked\""),
        ("TE parameter", "Transfer-Encoding: chunked;q=1"),
        ("TE vertical tab", "Transfer-Encoding: \x0bchunked"),
        ("TE space before colon", "Transfer-Encoding : chunked"),
        ("TE tab before colon", "Transfer-Encoding\t: chunked"),
        ("TE underscore", "Transfer_Encoding: chunked"),
        ("TE dot", "Transfer.Encoding: chunked"),
        ("TE folded", "Transfer-Encoding:\r\n chunked"),
        ("TE line feed in value", "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 4"),
        ("CL twice, different", "Content-Length: 0\r\nContent-Length: 44"),
        ("CL twice, same", "Content-Length: 0\r\nContent-Length: 0"),
        ("CL list", "Content-Length: 0, 44"),
        ("CL list, same", "Content-Length: 0, 0"),
        ("CL plus", "Content-Length: +0"),
        ("CL minus", "Content-Length: -1"),
        ("CL hex", "Content-Length: 0x0"),
        ("CL empty", "Content-Length:"),
        ("CL words", "Content-Length: zero"),
        ("CL huge", "Content-Length: 99999999999999999999999"),
        ("CL space inside", "Content-Length: 1 0"),
        ("CL space before colon", "Content-Length : 0"),
        ("CL underscore", "Content_Length: 44"),
        ("CL and folded TE", "Content-Length: 0\r\nX: y\r\n Transfer-Encoding: chunked"),
        ("obs-fold", "X-Folded: a\r\n b"),
        ("obs-fold first", " X-Folded: a"),
        ("bare CR in a value", "X-Bare: a\rb"),
        ("NUL in a value", "X-Nul: a\0b"),
        ("NUL in a name", "X\0Nul: a"),
        ("no colon", "X-No-Colon"),
        ("empty name", ": value"),
        ("space in a name", "X Space: a"),
        ("non-ASCII in a name", "X-\u{e9}: a"),
        ("parenthesis in a name", "X(: a"),
    ];
    let mut rows: Vec<Row> = heads
        .iter()
        .map(|(name, head)| {
            let text = format!("POST /open/x HTTP/1.1\r\nHost: HOST\r\n{head}\r\n\r\n0\r\n\r\n{SMUGGLED}");
            Row { ends: true, ..row(*name, text, &[400]) }
        })
        .collect();
    for (name, chunks) in [
        ("chunk size not hex", "zz\r\nhello\r\n0\r\n\r\n"),
        ("chunk size negative", "-1\r\nhello\r\n0\r\n\r\n"),
        ("chunk size 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("chunk size overflow", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("chunk size short", "3\r\nhello\r\n0\r\n\r\n"),
        ("chunk size empty", "\r\nhello\r\n0\r\n\r\n"),
        ("chunk without end", "5\r\nhelloX\r\n0\r\n\r\n"),
        ("chunk line feed", "5;a\nhello\r\n0\r\n\r\n"),
    ] {
        let head = "POST /open/chunk HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n";
        // What was read before the fault may have gone to the app, as a request that was broken off.
        rows.push(Row { ends: true, ..row(name, format!("{head}{chunks}{SMUGGLED}"), &[400, 502]) });
    }
    for (name, line) in [
        (
            "HTTP/1.0 with chunks",
            "POST /open/x HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("two spaces", "GET  /open/x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        ("no version", "GET /open/x\r\nHost: HOST\r\n\r\n"),
        ("version 0.9", "GET /open/x HTTP/0.9\r\nHost: HOST\r\n\r\n"),
        ("version 1.2", "GET /open/x HTTP/1.2\r\nHost: HOST\r\n\r\n"),
        ("version 2.0", "GET /open/x HTTP/2.0\r\nHost: HOST\r\n\r\n"),
        ("version junk", "GET /open/x HTTP/1.1x\r\nHost: HOST\r\n\r\n"),
        ("lower-case version", "GET /open/x http/1.1\r\nHost: HOST\r\n\r\n"),
        ("empty method", " /open/x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        ("method with bracket", "GE[T /open/x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        ("tab after method", "GET\t/open/x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        ("TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n"),
        ("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("nonsense", "\u{fffd}\u{fffd}\u{fffd}\r\n\r\n"),
    ] {
        // Some of these are answered by the end of the connection alone.
        rows.push(Row { ends: true, ..row(name, line, &[400, 505, 0]) });
    }
    rows
}

/// Host and target (RFC 9112 §3.2; Authelia CVE-2026-48794, oauth2-proxy CVE-2025-54576).
fn targets() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, hosts, right) in [
        ("no host", "", &[400][..]),
        ("two hosts", "Host: HOST\r\nHost: HOST\r\n", &[400]),
        ("two different hosts", "Host: HOST\r\nHost: other.localhost\r\n", &[400]),
        ("empty host", "Host:\r\n", &[400]),
        ("host with a user", "Host: a@HOST\r\n", &[400]),
        ("host with a path", "Host: HOST/x\r\n", &[400]),
        ("host with a space", "Host: local host\r\n", &[400]),
        ("host with a comma", "Host: HOST, evil.example\r\n", &[400]),
        ("host with a bad port", "Host: localhost:99999\r\n", &[400]),
        ("host with a port of words", "Host: localhost:http\r\n", &[400]),
        ("host with a fragment", "Host: localhost#x\r\n", &[400]),
        ("host with a query", "Host: localhost?x\r\n", &[400]),
        ("host with a backslash", "Host: localhost\\evil\r\n", &[400]),
        ("host with an underscore name", "Host: local_host\r\n", &[421]),
        ("host that is unknown", "Host: evil.example\r\n", &[421]),
        ("host that is an address", "Host: 127.0.0.1\r\n", &[421]),
        ("host that ends like ours", "Host: evil-localhost\r\n", &[421]),
        ("host below ours", "Host: x.localhost\r\n", &[421]),
        ("host before ours", "Host: localhost.evil.example\r\n", &[421]),
        ("host with two dots", "Host: localhost..\r\n", &[400]),
        ("host empty label", "Host: .localhost\r\n", &[400]),
        ("host by X-Forwarded-Host", "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n", &[421]),
        ("host by Forwarded", "Host: evil.example\r\nForwarded: host=localhost\r\n", &[421]),
    ] {
        rows.push(row(name, format!("GET /open/t HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"), right));
    }
    for (target, right) in [
        ("/open/x#fragment", &[400][..]),
        ("/open/x?a#b", &[400]),
        ("*", &[400]),
        ("open/x", &[400]),
        ("http://evil.example/open/x", &[400]),
        ("http://HOST@evil.example/open/x", &[400]),
        ("http://evil.example@HOST/open/x", &[400]),
        ("https://other.localhost/", &[400]),
        ("javascript:alert(1)", &[400]),
        ("/open/%", &[400]),
        ("/open/%zz", &[400]),
        ("/open/%0", &[400]),
        ("/open/\x01", &[400]),
        ("/open/\x7f", &[303, 400]),
    ] {
        let text =
            format!("GET {target} HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
        rows.push(row(format!("target {target:?}"), text, right));
    }
    for (method, right) in [
        ("TRACE", &[405][..]),
        ("CONNECT", &[400, 405]),
        ("TRACK", &[303, 401, 405]),
        ("get", &[303, 401, 405]),
    ] {
        let text = format!("{method} /page HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n");
        rows.push(row(format!("method {method}"), text, right));
    }
    rows.push(row(
        "CONNECT authority",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        &[400, 405],
    ));
    let long = "x".repeat(20_000);
    let text = format!("GET /open/{long} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n");
    rows.push(row("target of 20 kB", text, &[400, 414, 431]));
    let text = format!("GET /open/h HTTP/1.1\r\nHost: HOST\r\nX-Long: {}\r\n\r\n", "y".repeat(200_000));
    rows.push(row("header of 200 kB", text, &[431, 0]));
    let many = "X-Many: 1\r\n".repeat(5000);
    rows.push(row("5,000 headers", format!("GET /open/h HTTP/1.1\r\nHost: HOST\r\n{many}\r\n"), &[431, 0]));
    rows.push(row("half a head, then silence", "GET /open/slow HTTP/1.1\r\nHost: HO", &[408, 400, 0]));
    let text = "POST /open/slow HTTP/1.1\r\nHost: HOST\r\nContent-Length: 10\r\n\r\nhalf";
    rows.push(row("half a body, then silence", text, &[408, 400, 0]));
    let text = format!(
        "POST /open/large HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n{}",
        "z".repeat(100_000)
    );
    rows.push(row("a body over the limit", text, &[413]));
    let text =
        "POST /open/large HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n";
    rows.push(row("an expected body over the limit", text, &[413]));
    rows
}

/// Paths that mean to pass a stricter rule, or our own pages, in disguise (Pomerium CVE-2021-39206, CVE-2023-33189).
fn paths() -> Vec<Row> {
    let mut rows = Vec::new();
    let refused: &[u16] = &[303, 400, 403, 404];
    for path in [
        "/closed/x",
        "/open/../closed/x",
        "/open/%2e%2e/closed/x",
        "/open/.%2e/closed/x",
        "/open/..%2fclosed/x",
        "/open/%2e%2e%2fclosed/x",
        "/open/..%5cclosed/x",
        "/open/..\\closed/x",
        "/open/..;/closed/x",
        "/open/.;/../closed/x",
        "/open//../closed/x",
        "/open/%252e%252e/closed/x",
        "/open/./../closed/x",
        "/open/x/../../closed/x",
        "//closed/x",
        "/./closed/x",
        "/%63losed/x",
        "/closed%2fx",
        "/closed;/x",
        "/closed/x?/open/",
        "/closed/x?path=/open/",
        "/openly/x",
        "/OPEN/x",
        "/open%2fx",
        "/open;/x",
        "/open%00/x",
        "/%00/open/x",
        "/inside/x",
        "/private?/open/",
        "/private;/open/",
        "/open/%c0%ae%c0%ae/closed/x",
        "/open/\u{ff0e}\u{ff0e}/closed/x",
        "/open/..%00/closed/x",
        "/open/%0d%0aX:%20y/../../closed/x",
    ] {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
        rows.push(row(format!("path {path}"), text, refused));
    }
    for path in [
        "/.LINKGATE/login",
        "/.linkgate/../.linkgate/x",
        "/%2elinkgate/login",
        "/.linkgate%2flogin",
        "//.linkgate/login",
        "/./.linkgate/login",
        "/.linkgate;/login",
        "/.linkgate\\login",
        "/open/../.linkgate/login",
        "/open/%2e%2e/.linkgate/login",
        "/.linkgate/%2e%2e/open/x",
        "/.linkgate/nothing",
        "/.linkgate/assets/../../etc/passwd",
        "/.linkgate/assets/..%2f..%2fetc%2fpasswd",
        "/.linkgate/assets/%00",
        "/.linkgate/demo/inbox",
    ] {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
        rows.push(row(format!("own path {path}"), text, &[400, 404]));
    }
    rows
}

/// Cookies and credentials that are none (Authelia CVE-2021-32637: a malformed cookie is no cookie).
fn credentials() -> Vec<Row> {
    let mut rows = Vec::new();
    let long = "A".repeat(8000);
    for header in [
        "Cookie: linkgate=",
        "Cookie: linkgate",
        "Cookie: linkgate=a.b.c",
        "Cookie: linkgate=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZUBleGFtcGxlLmNvbSJ9.",
        "Cookie: linkgate=\"quoted\"; linkgate=x",
        "Cookie: linkgate=\u{fffd}\u{fffd}",
        "Cookie: ;;;=;=;linkgate==",
        "Cookie: __Host-linkgate=x; __Secure-linkgate=y",
        "Cookie: linkgate-login=x.y.z",
        &format!("Cookie: linkgate={long}"),
        "Authorization: Bearer",
        "Authorization: Bearer a.b.c",
        "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
        "Authorization: Basic YWxpY2U6YWxpY2U=",
        "Authorization: \u{fffd}",
        "Remote-User: alice@example.com",
        "User-Agent: kube-probe/1.29",
        "User-Agent: GoogleHC/1.0",
        "X-Original-URL: /open/x",
        "X-Forwarded-Uri: /open/x",
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "X-HTTP-Method-Override: GET",
    ] {
        let name: String = header.chars().take(60).collect();
        for path in ["/page", "/inside/x"] {
            let text = format!("GET {path} HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\n{header}\r\n\r\n");
            rows.push(row(format!("{path} with {name}"), text, &[303]));
        }
    }
    for upgrade in ["h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "websocket\r\nSec-WebSocket-Version: 13"] {
        let more = format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}");
        let text = format!("GET /page HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\n{more}\r\n\r\n");
        rows.push(row(format!("upgrade to {upgrade}"), text, &[401]));
    }
    rows
}

#[tokio::test]
async fn hostile_requests_get_the_answer_they_deserve_and_never_reach_the_app() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let mut rows = framing();
    rows.extend(targets());
    rows.extend(paths());
    rows.extend(credentials());
    assert!(rows.len() >= 150, "{} rows", rows.len());

    let mut wrong = Vec::new();
    for row in &rows {
        app.forget();
        let host = format!("localhost:{}", gateway.place.port);
        let bytes = replace(&row.bytes, b"HOST", host.as_bytes());
        let answer = exchange(gateway.place.port, &bytes).await;
        wrong.extend(complaint(row, &answer, &app));
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // And after all that it still serves.
    Browser::new().visit(&gateway.url("/open/x")).await.expect(200);
}

fn complaint(row: &Row, answer: &RawAnswer, app: &App) -> Option<String> {
    let Row { name, right, .. } = row;
    let first = answer.text.lines().next().unwrap_or_default();
    if !right.contains(&answer.status) {
        return Some(format!("{name}: {} ({first}), not one of {right:?}", answer.status));
    }
    if answer.answers > 1 {
        return Some(format!("{name}: {} answers to one request", answer.answers));
    }
    if row.ends && !answer.closed {
        return Some(format!("{name}: the connection stays open"));
    }
    let through = app.seen();
    if !through.is_empty() || !app.nonsense().is_empty() {
        return Some(format!("{name}: reached the app: {through:?} {:?}", app.nonsense()));
    }
    let server_error = answer.status >= 500 && answer.status != 505 && answer.status != 502;
    server_error.then(|| format!("{name}: it hurt us: {first}"))
}

fn replace(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(what) {
            out.extend_from_slice(with);
            at += what.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Names by which apps learn who asks, from where, and for what; the client has no say in any of them.
const FORGED: &[&str] = &[
    "Remote-User",
    "remote_user",
    "REMOTE_USER",
    "Remote.User",
    "Remote-Email",
    "Remote_Email",
    "Remote-Name",
    "Remote-Groups",
    "Remote~Groups",
    "X-Remote-User",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X.Forwarded.User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X_Auth_Request_User",
    "X-WebAuth-User",
    "Linkgate-Assertion",
    "Linkgate_Assertion",
    "X-Original-URL",
    "X_Original_URL",
    "X-Rewrite-URL",
    "X-Original-Method",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X_HTTP_Method_Override",
    "X-Method-Override",
    "X-Forwarded-Uri",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Client-IP",
    "Proxy",
];

#[tokio::test]
async fn forged_headers_never_reach_the_app_in_any_spelling() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let cookie = alice.cookies("localhost");

    let mut wrong = Vec::new();
    for name in FORGED {
        for (who, cookie) in [("", String::new()), (ALICE, format!("Cookie: {cookie}\r\n"))] {
            app.forget();
            let text = format!(
                "GET /open/f HTTP/1.1\r\nHost: localhost:{}\r\n{cookie}{name}: forged\r\nConnection: close\r\n\r\n",
                gateway.place.port
            );
            let answer = exchange(gateway.place.port, text.as_bytes()).await;
            let Some(seen) = app.seen().pop().filter(|_| answer.status == 200) else {
                wrong.push(format!("{name} as {who:?}: {}", answer.text));
                continue;
            };
            if seen.headers.iter().any(|(_, value)| value.contains("forged")) {
                wrong.push(format!("{name} as {who:?} reached the app: {:?}", seen.headers));
            }
            if seen.all("remote-user") != [who] {
                wrong.push(format!("{name} as {who:?}: Remote-User is {:?}", seen.all("remote-user")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn forged_forwarding_headers_are_replaced_by_the_truth() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "GET /open/f HTTP/1.1\r\nHost: localhost:{0}\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: 6\r\n\
         Connection: close\r\n\r\n",
        gateway.place.port
    );
    exchange(gateway.place.port, text.as_bytes()).await;
    let seen = app.request("/open/f").await;
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), [format!("localhost:{}", gateway.place.port)]);
    assert_eq!(seen.all("x-forwarded-port"), [gateway.place.port.to_string()]);
    assert_eq!(seen.all("x-real-ip"), ["127.0.0.1"]);
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"));
}

#[tokio::test]
async fn connection_cannot_take_identity_away_and_hop_headers_end_here() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let names =
        "close, Remote-User, Remote-Email, Linkgate-Assertion, X-Forwarded-For, X-Real-IP, Host, X-Hop";
    let text = format!(
        "GET /hop HTTP/1.1\r\nHost: localhost:{}\r\nCookie: {}\r\nConnection: {names}\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\r\n",
        gateway.place.port,
        alice.cookies("localhost")
    );
    exchange(gateway.place.port, text.as_bytes()).await;
    let seen = app.request("/hop").await;
    assert_eq!(seen.all("remote-user"), [ALICE]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    for gone in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "cookie"] {
        assert!(seen.all(gone).is_empty(), "{gone}: {:?}", seen.headers);
    }
    assert!(seen.header("via").contains("1.1"), "{:?}", seen.headers);
}

#[tokio::test]
async fn identity_in_trailers_ends_here() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "POST /open/trailers HTTP/1.1\r\nHost: localhost:{}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
         Trailer: Remote-User\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nRemote-User: forged\r\n\r\n",
        gateway.place.port
    );
    let answer = exchange(gateway.place.port, text.as_bytes()).await;
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    // The app reads trailers as lines after the last chunk; a forged one would stand in `headers` of nobody, so the
    // body and the next request must be clean.
    for seen in app.seen() {
        assert_eq!(seen.body, b"hello");
        assert!(!format!("{seen:?}").contains("forged"));
    }
    assert!(app.nonsense().is_empty());
}

#[tokio::test]
async fn a_body_is_framed_anew() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "POST /open/body HTTP/1.1\r\nHost: localhost:{}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         5;ext=\"x\"\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        gateway.place.port
    );
    assert_eq!(exchange(gateway.place.port, text.as_bytes()).await.status, 200);
    let seen = app.request("/open/body").await;
    assert_eq!(seen.body, b"hello world");
    let framed = |seen: &Seen| seen.all("content-length").len() + seen.all("transfer-encoding").len();
    assert_eq!(framed(&seen), 1, "{:?}", seen.headers);
}

#[tokio::test]
async fn return_to_never_leads_off_the_site() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let port = gateway.place.port;
    let browser = Browser::new();
    let mut wrong = Vec::new();
    for wish in [
        "https://evil.example/".to_owned(),
        "http://evil.example/".to_owned(),
        "//evil.example/".to_owned(),
        "///evil.example/".to_owned(),
        "/\\evil.example/".to_owned(),
        "\\\\evil.example/".to_owned(),
        "/\t/evil.example/".to_owned(),
        "/\n/evil.example/".to_owned(),
        "/%0d%0aLocation:%20https://evil.example".to_owned().replace("%0d%0a", "\r\n"),
        "\u{a0}//evil.example".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:text/html,x".to_owned(),
        format!("http://localhost:{port}@evil.example/"),
        format!("http://localhost:{port}.evil.example/"),
        format!("http://localhost.evil.example:{port}/"),
        format!("http://evil-localhost:{port}/"),
        format!("http://other.localhost:{port}/"),
        format!("https://localhost:{port}/"),
        "http://localhost:1/".to_owned(),
        "http:/evil.example/".to_owned(),
        "http:evil.example".to_owned(),
        "https:/\\evil.example".to_owned(),
        "evil.example".to_owned(),
        format!("http://localhost:{port}\\@evil.example/"),
        format!("http://localhost:{port}%2f@evil.example/"),
        "/.linkgate/logout?everywhere=1".to_owned(),
        format!("http://localhost:{port}/.linkgate/enter?ticket=x"),
        "x".repeat(10_000),
    ] {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &wish).finish();
        let page = browser.visit(&gateway.url(&format!("/.linkgate/login?{query}"))).await;
        let shown = page.field("return_to");
        let home = gateway.url("/");
        if page.status != 200
            || !(shown.is_empty() || shown == "/" || shown == home || format!("{shown}/") == home)
        {
            wrong.push(format!("{wish:?} → {} {shown:?}", page.status));
        }
        // Nor when it comes with the form.
        let fields = [("email", ALICE), ("return_to", &wish)];
        browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
        let letter = gateway.letter_to(ALICE).await;
        let person = Browser::new();
        person.set_cookie("localhost", "linkgate-login", &browser.cookie("localhost", "linkgate-login"));
        let answer = person.visit(&letter.link).await;
        let there = answer.location();
        if !there.starts_with(&home) || there.contains(".linkgate") {
            wrong.push(format!("{wish:?} led to {there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn posts_of_ours_are_taken_from_our_own_pages_only() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let origin = gateway.url("");
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let before = gateway.letters().len();
    for (site, from) in [
        ("cross-site", "https://evil.example"),
        ("same-site", "http://other.localhost"),
        ("none", "null"),
        ("cross-site", ""),
        ("same-site", ""),
        ("nonsense", origin.as_str()),
        ("", "null"),
        ("", "https://evil.example"),
        ("", "http://localhost.evil.example"),
        ("", "http://localhost:1"),
        ("", ""),
    ] {
        let headers = [("sec-fetch-site", site), ("origin", from)];
        for (path, fields) in [
            ("/.linkgate/login", &[("email", ALICE)][..]),
            ("/.linkgate/logout", &[("everywhere", "1")]),
            ("/.linkgate/verify", &[("code", "0000-0000")]),
        ] {
            let answer = alice.post_form_with(&gateway.url(path), fields, &headers).await;
            assert_eq!(answer.status, 403, "{path} with {headers:?}: {}", answer.text());
        }
    }
    alice.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(gateway.letters().len(), before, "no letter was sent");
    // Without Sec-Fetch-Site the exact Origin counts.
    let old = [("sec-fetch-site", ""), ("origin", origin.as_str())];
    alice.post_form_with(&gateway.url("/.linkgate/logout"), &[], &old).await.expect(303);
    assert!(alice.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn hostile_addresses_send_no_letter_and_break_none() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    for address in [
        "alice@example.com\r\nBcc: eve@evil.example",
        "alice@example.com\nSubject: x",
        "alice@example.com,eve@evil.example",
        "alice@example.com eve@evil.example",
        "eve@evil.example@example.com",
        "\"alice@example.com\"@evil.example",
        "alice@example.com.evil.example",
        "alice@evil.example",
        "alice@[127.0.0.1]",
        "alice@",
        "@example.com",
        "",
        "alice",
        "alice@exa mple.com",
        "alice@example..com",
        "<alice@example.com>",
        "Alice <alice@example.com>",
        "alice@example.com\0",
        "alic\u{435}@example.com",
        "alice@ex\u{430}mple.com",
        "alice%40example.com",
        "alice@example.com%0d%0aBcc:eve@evil.example",
        &format!("{}@example.com", "a".repeat(65)),
        &format!("a@{}.com", "b".repeat(300)),
    ] {
        let answer = browser.post_form(&gateway.url("/.linkgate/login"), &[("email", address)]).await;
        assert!(answer.status < 500, "{address:?}: {}", answer.status);
        assert!(!answer.header("location").contains("evil"), "{address:?}: {:?}", answer.headers);
    }
    // Letters go out in order; if one had been written it would lie before this one.
    gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let letters = gateway.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(!letters[0].raw.contains("evil"));
}

#[tokio::test]
async fn forms_of_ours_take_no_nonsense() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let origin = gateway.url("");
    let large = format!("email={}", "x".repeat(2_000_000));
    for (kind, body) in [
        ("application/x-www-form-urlencoded", &b"email=%ff%fe"[..]),
        ("application/x-www-form-urlencoded", b"%"),
        ("application/x-www-form-urlencoded", b"email=a&email=b"),
        ("application/x-www-form-urlencoded", large.as_bytes()),
        ("application/x-www-form-urlencoded", b""),
        ("application/json", b"{"),
        ("application/json", b"null"),
        ("application/json", b"{\"email\":7}"),
        ("application/json", b"{\"email\":[\"alice@example.com\"]}"),
        ("application/json", b"\xff\xfe"),
        ("text/plain", b"email=alice@example.com"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("", b"email=alice@example.com"),
    ] {
        for path in ["/.linkgate/login", "/.linkgate/verify", "/.linkgate/logout"] {
            let mut headers = vec![("sec-fetch-site", "same-origin"), ("origin", origin.as_str())];
            if !kind.is_empty() {
                headers.push(("content-type", kind));
            }
            let answer = browser.send("POST", &gateway.url(path), &headers, body.to_vec()).await;
            assert!(answer.status < 500, "{path} {kind} {:?}: {}", body.get(..20), answer.status);
            assert_eq!(browser.cookie("localhost", "linkgate"), "", "{path} {kind}");
        }
    }
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn nothing_that_opens_a_door_is_written_to_the_log() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page?secret=query")).await;
    browser.follow(&letter.link).await.expect(200);
    let other = Browser::new();
    other.visit(&letter.link).await;
    let log = gateway.log();
    assert!(!log.is_empty());
    for secret in
        [letter.token(), letter.code.as_str(), &browser.cookie("localhost", "linkgate"), "secret=query"]
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let signature = letter.token().rsplit('.').next().unwrap();
    assert!(!log.contains(signature));
    assert!(!log.contains(ALICE), "no address at info or debug either");
}

#[tokio::test]
async fn health_is_not_on_the_public_listener() {
    let app = App::start().await;
    let gateway = start(&app).await;
    for path in ["/healthz", "/readyz", "/metrics", "/ping"] {
        let answer =
            Browser::new().visit_with(&gateway.url(path), &[("user-agent", "kube-probe/1.29")]).await;
        assert!(answer.is_redirect(), "{path}: {}", answer.status);
    }
    assert!(app.seen().is_empty());
}
