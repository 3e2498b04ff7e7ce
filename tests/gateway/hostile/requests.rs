//! Framing, targets, paths and credentials, row by row. Every row has its expected status, and in the end the app's own
//! record says what got through.

use super::start;
use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::raw::RawAnswer;
use crate::harness::raw::exchange;

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
        // A rule inside a public one, in other spellings that the app reads alike.
        "/open/Special:Export",
        "/open/Special%3AExport",
        "/open/%53pecial%3aExport/x?y",
        "/open/%7Bnur%7D%20f%C3%BCr%20uns/x",
        "/open/{nur}%20f%c3%bcr%20uns/",
        "/open/%7bnur%7d%20für%20uns/x",
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
