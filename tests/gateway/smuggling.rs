//! Request smuggling over raw sockets: whatever two programs could read in two ways is read by nobody. The app keeps
//! every byte; a second request inside the first must never come out at its end, and each visitor is told plainly.

use crate::harness::PATIENCE;
use crate::harness::authority::Authority;
use crate::harness::frames::DATA;
use crate::harness::frames::END_HEADERS;
use crate::harness::frames::END_STREAM;
use crate::harness::frames::Frames;
use crate::harness::frames::HEADERS;
use crate::harness::frames::block;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::raw::RawAnswer;
use crate::harness::raw::exchange;
use crate::harness::recorder::Message;
use crate::harness::recorder::Recorder;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

const NAME: &str = "wiki.localhost";

/// The request that must not be seen.
const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nHost: wiki.localhost\r\nX: smuggled\r\n\r\n";

fn routes(app: &Recorder) -> String {
    format!(
        r#"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "wiki.localhost"
upstream = "{}"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/closed/"
access = "deny"
"#,
        app.url()
    )
}

async fn plain(app: &Recorder) -> Gateway {
    let site = "header_timeout = \"1s\"\nbody_timeout = \"1s\"\nmax_body = \"64KiB\"\n[[site]]\nname = \"wiki\"\n\
                url = \"http://wiki.localhost:@PORT@\"";
    Gateway::start(&format!("{site}{}", routes(app))).await
}

/// What must become of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// 400, one answer, the connection ends, and the app hears nothing.
    Refused,
    /// Refused after a part may have gone on: 400, or 502 when the app was asked already; and it ends.
    Broken,
    /// Refused in the end: the visitor promises a body that never ends, and what looks like a second request is in it.
    Endless,
    /// One request with one reading; what looks like a second is its body.
    Body,
    /// Answered by us with this; what looks like a second request is not taken for one.
    Ours(u16),
}

struct Row {
    name: String,
    bytes: Vec<u8>,
    fate: Fate,
}

fn row(name: impl Into<String>, bytes: impl AsRef<[u8]>, fate: Fate) -> Row {
    Row { name: name.into(), bytes: bytes.as_ref().to_vec(), fate }
}

fn post(head: &[u8], body: &str) -> Vec<u8> {
    [b"POST /open/first HTTP/1.1\r\nHost: wiki.localhost\r\n", head, b"\r\n\r\n", body.as_bytes()].concat()
}

/// `Transfer-Encoding: chunked`, as it is written and as somebody somewhere reads it. True where it has one meaning.
const SPELLINGS: &[(&[u8], bool)] = &[
    (b"Transfer-Encoding: chunked", true),
    (b"transfer-encoding: chunked", true),
    (b"TRANSFER-ENCODING: chunked", true),
    (b"tRaNsFeR-eNcOdInG: chunked", true),
    (b"Transfer-Encoding:chunked", true),
    (b"Transfer-Encoding:\tchunked", true),
    (b"Transfer-Encoding:   chunked", true),
    (b"Transfer-Encoding: chunked \t", true),
    (b"Transfer-Encoding: Chunked", false),
    (b"Transfer-Encoding: CHUNKED", false),
    (b"Transfer-Encoding: xchunked", false),
    (b"Transfer-Encoding: chunkedx", false),
    (b"Transfer-Encoding: chunk", false),
    (b"Transfer-Encoding: cow", false),
    (b"Transfer-Encoding: identity", false),
    (b"Transfer-Encoding: chunked, identity", false),
    (b"Transfer-Encoding: identity, chunked", false),
    (b"Transfer-Encoding: chunked, cow", false),
    (b"Transfer-Encoding: cow, chunked", false),
    (b"Transfer-Encoding: gzip, chunked", false),
    (b"Transfer-Encoding: chunked, chunked", false),
    (b"Transfer-Encoding: ,chunked", false),
    (b"Transfer-Encoding: chunked,", false),
    (b"Transfer-Encoding: , ,chunked", false),
    (b"Transfer-Encoding: chunked;", false),
    (b"Transfer-Encoding: chunked;q=1", false),
    (b"Transfer-Encoding: chunked; x=\"y\"", false),
    (b"Transfer-Encoding: \"chunked\"", false),
    (b"Transfer-Encoding: 'chunked'", false),
    (b"Transfer-Encoding: [chunked]", false),
    (b"Transfer-Encoding: chunked#", false),
    (b"Transfer-Encoding: chunked chunked", false),
    (b"Transfer-Encoding:", false),
    (b"Transfer-Encoding: ,", false),
    (b"Transfer-Encoding", false),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", false),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", false),
    (b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", false),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding:", false),
    (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", false),
    (b"Transfer-Encoding : chunked", false),
    (b"Transfer-Encoding\t: chunked", false),
    (b"Transfer-Encoding\x0b: chunked", false),
    (b"Transfer-Encoding\x00: chunked", false),
    (b" Transfer-Encoding: chunked", false),
    (b"\tTransfer-Encoding: chunked", false),
    (b"\x00Transfer-Encoding: chunked", false),
    (b"X: y\r\n Transfer-Encoding: chunked", false),
    (b"X: y\nTransfer-Encoding: chunked", false),
    (b"X: y\rTransfer-Encoding: chunked", false),
    (b"X: y\r\n\rTransfer-Encoding: chunked", false),
    (b"Transfer-Encoding: chunked\nX: y", false),
    (b"Transfer-Encoding: chunked\rX: y", false),
    (b"Transfer-Encoding:\n chunked", false),
    (b"Transfer-Encoding:\r\n chunked", false),
    (b"Transfer-Encoding:\r\n\tchunked", false),
    (b"Transfer-Encoding: chunked\r\n identity", false),
    (b"Transfer-Encoding\r\n : chunked", false),
    (b"Transfer-Encoding\n: chunked", false),
    (b"Transfer-Encoding: \x0bchunked", false),
    (b"Transfer-Encoding: \x0cchunked", false),
    (b"Transfer-Encoding: chunked\x0b", false),
    (b"Transfer-Encoding: \x01chunked", false),
    (b"Transfer-Encoding: chunked\x00", false),
    (b"Transfer-Encoding: chu\x00nked", false),
    (b"Transfer-Encoding: chunked\x7f", false),
    (b"Transfer-Encoding: chunked\xff", false),
    (b"Transfer-Encoding: \xa0chunked", false),
    (b"Transfer-Encoding: chun\xe2\x84\xaaed", false),
    (b"Transfer-Encoding\xa0: chunked", false),
    (b"Transfer_Encoding: chunked", false),
    (b"Transfer.Encoding: chunked", false),
    (b"Transfer Encoding: chunked", false),
    (b"Transfer~Encoding: chunked", false),
    (b"Transfer-Encoding;: chunked", false),
    (b"Transfer-Encoding=chunked", false),
];

fn te() -> Vec<Row> {
    let mut rows = Vec::new();
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n", SMUGGLED.len());
    for (spelling, plain) in SPELLINGS {
        let name = String::from_utf8_lossy(spelling).into_owned();
        // Who reads no chunks here finds the second request where the body begins.
        let fate = if *plain { Fate::Body } else { Fate::Refused };
        rows.push(row(format!("TE {name:?}"), post(spelling, &format!("{chunk}0\r\n\r\n")), fate));
        // Who reads chunks is at the end before the second request, who reads the length is not.
        let body = format!("0\r\n\r\n{SMUGGLED}");
        let head = [format!("Content-Length: {}\r\n", body.len()).as_bytes(), spelling].concat();
        rows.push(row(format!("CL.TE {name:?}"), post(&head, &body), Fate::Refused));
        // And the other way round.
        let head = [spelling, b"\r\nContent-Length: 4".as_slice()].concat();
        rows.push(row(format!("TE.CL {name:?}"), post(&head, &format!("{chunk}0\r\n\r\n")), Fate::Refused));
    }
    rows
}

fn lengths() -> Vec<Row> {
    let n = SMUGGLED.len();
    let mut rows = Vec::new();
    for lines in [
        format!("Content-Length: 0\r\nContent-Length: {n}"),
        format!("Content-Length: {n}\r\nContent-Length: 0"),
        format!("Content-Length: {n}\r\nContent-Length: {n}"),
        format!("Content-Length: {n}\r\nX: y\r\ncontent-length: {n}"),
        format!("Content-Length: 0, {n}"),
        format!("Content-Length: {n}, {n}"),
        format!("Content-Length: {n},"),
        format!("Content-Length: +{n}"),
        format!("Content-Length: -{n}"),
        format!("Content-Length: 0x{n:x}"),
        format!("Content-Length: {n}.0"),
        format!("Content-Length: {n}e0"),
        format!("Content-Length: {n} 0"),
        format!("Content-Length: 0 {n}"),
        format!("Content-Length: {n}_0"),
        format!("Content-Length: \"{n}\""),
        format!("Content-Length: {n};"),
        format!("Content-Length: {n}\x00"),
        format!("Content-Length: \x0b{n}"),
        "Content-Length:".to_owned(),
        "Content-Length: ".to_owned(),
        "Content-Length".to_owned(),
        "Content-Length: zero".to_owned(),
        "Content-Length: \u{0663}".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        "Content-Length: 18446744073709551615".to_owned(),
        "Content-Length: 99999999999999999999999999".to_owned(),
        format!("Content-Length : {n}"),
        format!("Content-Length\t: {n}"),
        format!(" Content-Length: {n}"),
        format!("X: y\r\n Content-Length: {n}"),
        format!("X: y\nContent-Length: {n}"),
        format!("X: y\rContent-Length: {n}"),
        format!("Content-Length:\r\n {n}"),
        format!("Content-Length: {n}\r\n 0"),
        format!("Content_Length: {n}"),
        format!("Content.Length: {n}"),
        format!("Content Length: {n}"),
    ] {
        let fate = if lines.contains("18446744073709551615") { Fate::Ours(431) } else { Fate::Refused };
        rows.push(row(format!("CL {lines:?}"), post(lines.as_bytes(), SMUGGLED), fate));
    }
    // A plain length is what it is, leading zeros or not.
    for lines in
        [format!("Content-Length: {n}"), format!("Content-Length: 000{n}"), format!("content-length:{n} ")]
    {
        rows.push(row(format!("CL {lines:?}"), post(lines.as_bytes(), SMUGGLED), Fate::Body));
    }
    rows
}

/// CL.0: answers for which the body is of no use must not leave it lying about. 0.CL: a body where none is expected.
fn ignored_bodies() -> Vec<Row> {
    let n = SMUGGLED.len();
    let mut rows = Vec::new();
    for (line, host, status) in [
        ("POST /closed/x", "wiki.localhost", 403),
        ("POST /page", "wiki.localhost", 401),
        ("POST /open/x", "evil.example", 421),
        ("POST /.linkgate/assets/nothing.css", "wiki.localhost", 405),
        ("POST /.linkgate/nothing", "wiki.localhost", 404),
        ("POST /.linkgate/login", "wiki.localhost", 400),
        ("GET /.linkgate/login", "wiki.localhost", 200),
        ("GET /.linkgate/assets/style.css", "wiki.localhost", 200),
        ("TRACE /open/x", "wiki.localhost", 405),
        ("POST /open/%", "wiki.localhost", 400),
    ] {
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n");
        let length = format!("{head}Content-Length: {n}\r\n\r\n{SMUGGLED}");
        rows.push(row(format!("CL.0 {line} of {host}"), length, Fate::Ours(status)));
        let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
        rows.push(row(format!("TE.0 {line} of {host}"), chunk, Fate::Ours(status)));
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND"] {
        let head = format!("{method} /open/first HTTP/1.1\r\nHost: wiki.localhost\r\n");
        rows.push(row(
            format!("0.CL {method}"),
            format!("{head}Content-Length: {n}\r\n\r\n{SMUGGLED}"),
            Fate::Body,
        ));
        let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
        rows.push(row(format!("0.TE {method}"), chunk, Fate::Body));
    }
    for (name, head) in [
        (
            "1.0 with chunks",
            "POST /open/first HTTP/1.0\r\nHost: wiki.localhost\r\nTransfer-Encoding: chunked",
        ),
        (
            "1.0 with both",
            "POST /open/first HTTP/1.0\r\nHost: wiki.localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        ),
    ] {
        rows.push(row(name, format!("{head}\r\n\r\n0\r\n\r\n{SMUGGLED}"), Fate::Refused));
    }
    rows
}

fn lines() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text) in [
        ("bare LF after the request line", "GET /open/first HTTP/1.1\nHost: wiki.localhost\r\n\r\n"),
        ("bare LF everywhere", "GET /open/first HTTP/1.1\nHost: wiki.localhost\n\n"),
        ("bare LF ends the head", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\n\n"),
        ("bare LF between fields", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\nX: y\r\n\r\n"),
        ("bare LF in a value", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\nX: y\nz\r\n\r\n"),
        ("bare CR in a value", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\nX: y\rz\r\n\r\n"),
        ("bare CR ends the head", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\n\rX: y\r\n\r\n"),
        ("CR CR LF", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\r\n\r\n"),
        ("obs-fold with a space", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\nX: y\r\n z\r\n\r\n"),
        ("obs-fold with a tab", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\nX: y\r\n\tz\r\n\r\n"),
        ("obs-fold of the host", "GET /open/first HTTP/1.1\r\nHost:\r\n wiki.localhost\r\n\r\n"),
        ("obs-fold before any field", "GET /open/first HTTP/1.1\r\n X: y\r\nHost: wiki.localhost\r\n\r\n"),
        ("obs-fold of nothing", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\n \r\n\r\n"),
        ("a fragment in the target", "GET /open/first#x HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"),
        (
            "a second request in the target",
            "GET /open/first HTTP/1.1\r\x0bX: GET /open/x HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n",
        ),
        ("two hosts", "GET /open/first HTTP/1.1\r\nHost: wiki.localhost\r\nHost: evil.example\r\n\r\n"),
        ("a host elsewhere", "GET http://evil.example/open/first HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"),
    ] {
        rows.push(row(name, format!("{text}{SMUGGLED}"), Fate::Refused));
    }
    rows
}

fn chunks() -> Vec<Row> {
    let chunked = |body: &str| post(b"Transfer-Encoding: chunked", body);
    let n = SMUGGLED.len();
    let mut rows = Vec::new();
    for (name, body) in [
        ("size overflows", format!("10000000000000005\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size overflows to nothing", format!("10000000000000000\r\n\r\n{SMUGGLED}")),
        ("size of 32 digits", format!("{}5\r\nhello\r\n0\r\n\r\n{SMUGGLED}", "f".repeat(31))),
        ("size negative", format!("-5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size with plus", format!("+5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size with 0x", format!("0x5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size with an underscore", format!("0_5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size after a space", format!(" 5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size in two words", format!("5 5\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size empty", format!("\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size missing, extension", format!(";x\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size ends in a bare LF", format!("5\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size ends in a bare CR", format!("5\rhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("size with NUL", format!("5\x00\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("data too short", format!("6\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("data too long", format!("4\r\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("data ends in a bare LF", format!("5\r\nhello\n0\r\n\r\n{SMUGGLED}")),
        ("data ends in a bare CR", format!("5\r\nhello\r0\r\n\r\n{SMUGGLED}")),
        ("data without an end", format!("5\r\nhello0\r\n\r\n{SMUGGLED}")),
        ("data ends in anything", format!("5\r\nhelloXX0\r\n\r\n{SMUGGLED}")),
        ("extension with a bare LF", format!("5;x\nhello\r\n0\r\n\r\n{SMUGGLED}")),
        ("extension with a bare LF and chunk", format!("2;\nxx\r\n{n:x}\r\n0\r\n\r\n{SMUGGLED}")),
        ("extension of 64 KiB", format!("5;{}\r\nhello\r\n0\r\n\r\n{SMUGGLED}", "x".repeat(65_536))),
        (
            "extensions of 128 KiB in all",
            format!("{}0\r\n\r\n{SMUGGLED}", format!("1;{}\r\nx\r\n", "y".repeat(1024)).repeat(128)),
        ),
        ("end with a bare LF", format!("5\r\nhello\r\n0\n\n{SMUGGLED}")),
        ("end with one bare LF", format!("5\r\nhello\r\n0\r\n\n{SMUGGLED}")),
        ("trailer of 128 KiB", format!("0\r\nX: {}\r\n\r\n{SMUGGLED}", "y".repeat(131_072))),
        ("trailer with a bare CR", format!("0\r\nX: y\rz\r\n\r\n{SMUGGLED}")),
    ] {
        rows.push(row(format!("chunk: {name}"), chunked(&body), Fate::Broken));
    }
    for size in ["ffffffffffffffff", "8000000000000000", "7fffffffffffffff", "7fffffff"] {
        let body = format!("{size}\r\nhello\r\n0\r\n\r\n{SMUGGLED}");
        rows.push(row(format!("chunk of {size}"), chunked(&body), Fate::Endless));
    }
    // These have one meaning, and go on without what is not data.
    for (name, body) in [
        ("one", format!("{n:x}\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        ("upper case and zeros", format!("0000{n:X}\r\n{SMUGGLED}\r\n000\r\n\r\n")),
        ("extension", format!("{n:x};name=\"GET / HTTP/1.1\"\r\n{SMUGGLED}\r\n0;last\r\n\r\n")),
        ("extension after a space", format!("{n:x} ;x\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        (
            "many",
            SMUGGLED.chars().flat_map(|c| ['1', '\r', '\n', c, '\r', '\n']).collect::<String>() + "0\r\n\r\n",
        ),
        (
            "trailers that frame",
            format!(
                "{n:x}\r\n{SMUGGLED}\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: y\r\n\r\n"
            ),
        ),
    ] {
        rows.push(row(format!("chunk: {name}"), chunked(&body), Fate::Body));
    }
    rows
}

fn expectations() -> Vec<Row> {
    let n = SMUGGLED.len();
    let mut rows = Vec::new();
    for expect in
        ["100-continue", "100-Continue", "100-continue, 100-continue", "200-ok", "y 100-continue", ""]
    {
        let head = format!("Expect: {expect}\r\nContent-Length: {n}");
        rows.push(row(format!("Expect {expect:?}"), post(head.as_bytes(), SMUGGLED), Fate::Body));
        let refused = format!("POST /closed/x HTTP/1.1\r\nHost: wiki.localhost\r\n{head}\r\n\r\n{SMUGGLED}");
        rows.push(row(format!("Expect {expect:?}, refused"), refused, Fate::Ours(403)));
        let nothing = format!("Expect: {expect}\r\nContent-Length: 0");
        rows.push(row(format!("Expect {expect:?}, nothing"), post(nothing.as_bytes(), ""), Fate::Body));
    }
    let fold = format!("Expect: 100-continue\r\nX: y\r\n z\r\nContent-Length: {n}");
    rows.push(row("Expect and obs-fold", post(fold.as_bytes(), SMUGGLED), Fate::Refused));
    let both = format!("Expect: 100-continue\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked");
    rows.push(row(
        "Expect and both framings",
        post(both.as_bytes(), &format!("0\r\n\r\n{SMUGGLED}")),
        Fate::Refused,
    ));
    rows
}

#[tokio::test]
async fn no_second_request_comes_out_of_one_however_it_is_framed() {
    let rows = [te(), lengths(), ignored_bodies(), lines(), chunks(), expectations()].concat_rows();
    assert!(SPELLINGS.len() >= 40 && rows.len() >= 300, "{} rows", rows.len());
    let count = rows.len();
    let wrong = Box::pin(in_lanes(rows, async |app, gateway, row| {
        let answer = exchange(gateway.place.port, &row.bytes).await;
        judge(row.fate, &answer, app)
    }))
    .await;
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// Tries every row, some at a time, each lane with a gateway and an app of its own.
async fn in_lanes(
    rows: Vec<Row>,
    attempt: impl AsyncFn(&Recorder, &Gateway, &Row) -> Option<String>,
) -> Vec<String> {
    let rows = std::cell::RefCell::new(rows.into_iter());
    let wrong = std::cell::RefCell::new(Vec::new());
    let lane = async || {
        let app = Recorder::start().await;
        let gateway = plain(&app).await;
        loop {
            let next = rows.borrow_mut().next();
            let Some(row) = next else { return };
            app.forget();
            if let Some(complaint) = attempt(&app, &gateway, &row).await {
                wrong.borrow_mut().push(format!("{}: {complaint}", row.name));
            }
        }
    };
    tokio::join!(lane(), lane(), lane(), lane());
    wrong.into_inner()
}

trait Concat {
    fn concat_rows(self) -> Vec<Row>;
}

impl<const N: usize> Concat for [Vec<Row>; N] {
    fn concat_rows(self) -> Vec<Row> {
        self.into_iter().flatten().collect()
    }
}

fn judge(fate: Fate, answer: &RawAnswer, app: &Recorder) -> Option<String> {
    let first = answer.text.lines().next().unwrap_or_default();
    if let Some(complaint) = app.complaint() {
        return Some(format!("the app got {complaint}"));
    }
    if answer.answers > 1 {
        return Some(format!("{} answers: {:?}", answer.answers, answer.text));
    }
    let raw = String::from_utf8_lossy(&app.raw()).into_owned();
    let messages = app.messages();
    match fate {
        Fate::Refused | Fate::Broken | Fate::Endless if !answer.closed => {
            Some("the connection stays open".to_owned())
        }
        Fate::Refused if answer.status != 400 => Some(format!("{first:?}, not 400")),
        Fate::Broken if ![400, 413, 431, 502].contains(&answer.status) => Some(format!("{first:?}, not 400")),
        Fate::Broken if !messages.is_empty() => Some(format!("the app got all of it: {raw:?}")),
        Fate::Broken if raw.contains("smuggled") => Some(format!("the app got {raw:?}")),
        Fate::Endless if ![408, 413].contains(&answer.status) => Some(format!("{first:?}, not 408")),
        Fate::Endless if messages.len() > 1 || raw.matches("HTTP/1.1\r\nhost: ").count() > 1 => {
            Some(format!("the app got {raw:?}"))
        }
        Fate::Ours(status) if answer.status != status => Some(format!("{first:?}, not {status}")),
        Fate::Refused | Fate::Ours(_) if !raw.is_empty() => Some(format!("the app got {raw:?}")),
        Fate::Body if answer.status != 200 => Some(format!("{first:?}, not 200")),
        Fate::Body => match messages.as_slice() {
            [one] if one.head.contains(" /open/first HTTP/1.1") && !one.head.contains("smuggled") => {
                let whole = one.body.is_empty() || one.body == SMUGGLED.as_bytes();
                (!whole).then(|| format!("the body is {:?}", String::from_utf8_lossy(&one.body)))
            }
            _ => Some(format!("the app got {raw:?}")),
        },
        Fate::Refused | Fate::Broken | Fate::Endless | Fate::Ours(_) => None,
    }
}

#[tokio::test]
async fn the_next_visitor_of_a_shared_connection_gets_his_own_answer() {
    // Each attack that goes on at all, then somebody else: the app sees two whole requests, in order.
    let mut rows = [te(), lengths(), ignored_bodies(), chunks(), expectations()].concat_rows();
    rows.retain(|row| matches!(row.fate, Fate::Body | Fate::Broken | Fate::Endless));
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let wrong = Box::pin(in_lanes(rows, async |app, gateway, row| {
        exchange(gateway.place.port, &row.bytes).await;
        let probe = "GET /open/probe HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n\r\n";
        let answer = exchange(gateway.place.port, probe.as_bytes()).await;
        if (answer.status, answer.answers) != (200, 1) || !answer.text.ends_with("\r\n\r\nok\n") {
            return Some(format!("{answer:?}"));
        }
        let last = app.messages().pop()?;
        let own = last.head.starts_with("GET /open/probe HTTP/1.1\r\n") && last.body.is_empty();
        app.complaint().or_else(|| (!own).then(|| format!("the app got {last:?}")))
    }))
    .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_body_that_is_not_read_does_not_become_the_next_request() {
    let app = Recorder::start().await;
    let gateway = plain(&app).await;
    // Kept alive: either what follows is taken for what it is, or the connection ends.
    for path in ["/closed/x", "/open/first", "/.linkgate/nothing"] {
        app.forget();
        let mut socket = TcpStream::connect(("127.0.0.1", gateway.place.port)).await.unwrap();
        let n = SMUGGLED.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: wiki.localhost\r\nContent-Length: {n}\r\n\r\n");
        let after = "GET /open/after HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(format!("{head}{SMUGGLED}{after}").as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut answers)).await.unwrap();
        let heads: Vec<String> = app.messages().into_iter().map(|message| message.head).collect();
        assert!(heads.iter().all(|head| !head.contains("smuggled")), "{heads:?}");
        let count = String::from_utf8_lossy(&answers).matches("HTTP/1.1 ").count();
        assert!(count <= 2, "{}", String::from_utf8_lossy(&answers));
    }
}

#[tokio::test]
async fn what_is_no_request_of_a_version_that_we_speak_reaches_no_app() {
    let app = Recorder::start().await;
    let gateway = plain(&app).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut rows = vec![preface.to_owned(), "GET /open/first\r\n\r\n".to_owned()];
    for version in
        ["", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3", "HTTP/01.1", "HTTP/11.1", "http/1.1", "HTTP/1.1 "]
    {
        rows.push(format!("GET /open/first {version}\r\nHost: {NAME}\r\n\r\n"));
    }
    for line in [
        " GET /open/first",
        "GET\t/open/first",
        "GET  /open/first",
        "GET /open/a b",
        "G\0ET /open/first",
        "(GET) /open/first",
        " /open/first",
    ] {
        rows.push(format!("{line} HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    }
    for row in rows {
        let answer = exchange(gateway.place.port, format!("{row}{SMUGGLED}").as_bytes()).await;
        assert!(answer.closed && answer.answers <= 1, "{row:?}: {answer:?}");
        // The preface of another protocol is not even answered.
        assert!(answer.status == 400 || (row == preface && answer.text.is_empty()), "{row:?}: {answer:?}");
        assert!(app.raw().is_empty(), "{row:?}: {}", String::from_utf8_lossy(&app.raw()));
    }
}

async fn secure(app: &Recorder) -> (Gateway, Arc<Authority>) {
    let place = Place::new();
    let authority = Authority::make(place.path(), &[NAME]);
    let head = HEAD.replace("http://", "https://");
    let tls = "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"\n";
    let site = "[[site]]\nname = \"wiki\"\nurl = \"https://wiki.localhost:@PORT@\"";
    let config = format!("{head}{tls}{site}{}", routes(app));
    (Gateway::start_with(place, &config).await, authority)
}

/// A request in HTTP/2: what it is, what comes instead of or after the four fields, its data.
type H2Row = (&'static str, Vec<(&'static str, String)>, String);

fn h2() -> Vec<H2Row> {
    let plain =
        |name: &'static str, value: &str, data: &str| (name, vec![(name, value.to_owned())], data.to_owned());
    let n = SMUGGLED.len();
    let chunk = format!("0\r\n\r\n{SMUGGLED}");
    let mut rows = vec![
        plain("content-length", "0", SMUGGLED),
        plain("content-length", "1", SMUGGLED),
        plain("content-length", &(n + 1).to_string(), SMUGGLED),
        plain("content-length", &(n - 1).to_string(), SMUGGLED),
        plain("content-length", &format!("+{n}"), SMUGGLED),
        plain("content-length", &format!("{n}, {n}"), SMUGGLED),
        plain("content-length", &format!("0x{n:x}"), SMUGGLED),
        plain("content-length", "", SMUGGLED),
        plain("content-length", "99999999999999999999999", SMUGGLED),
        plain("content_length", "0", SMUGGLED),
        plain("transfer-encoding", "chunked", &chunk),
        plain("transfer-encoding", "identity", &chunk),
        plain("transfer-encoding", "", &chunk),
        plain("transfer_encoding", "chunked", &chunk),
        plain("Transfer-Encoding", "chunked", &chunk),
        plain("transfer-encoding ", "chunked", &chunk),
        plain("te", "chunked", &chunk),
        plain("connection", "transfer-encoding", &chunk),
        plain("connection", "close", ""),
        plain("proxy-connection", "keep-alive", ""),
        plain("keep-alive", "timeout=5", ""),
        plain("upgrade", "websocket", ""),
        plain("x", "y\r\nTransfer-Encoding: chunked", &chunk),
        plain("x", &format!("y\r\n\r\n{SMUGGLED}"), ""),
        plain("x", "y\nTransfer-Encoding: chunked", &chunk),
        plain("x", "y\rTransfer-Encoding: chunked", &chunk),
        plain("x", "y\0z", ""),
        plain("x\r\ntransfer-encoding: chunked\r\ny", "z", &chunk),
        plain("x: y\r\ntransfer-encoding", "chunked", &chunk),
        plain("transfer-encoding:", "chunked", &chunk),
        plain("x y", "z", ""),
        plain("", "z", ""),
        plain("X", "z", ""),
        plain("host", "evil.example", ""),
        plain(":path", "/open/second", ""),
        plain(":smuggled", "x", ""),
    ];
    rows.push((
        "two lengths",
        vec![("content-length", n.to_string()), ("content-length", "0".to_owned())],
        SMUGGLED.to_owned(),
    ));
    for (name, value) in [
        (":path", format!("/open/first HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n{SMUGGLED}")),
        (":path", "/open/first HTTP/1.1".to_owned()),
        (":path", "/open/first\r\nX: smuggled".to_owned()),
        (":path", "/open/first\tx".to_owned()),
        (":path", "/open/first#smuggled".to_owned()),
        (":path", String::new()),
        (":path", "open/first".to_owned()),
        (":path", "*".to_owned()),
        (":path", "http://evil.example/open/first".to_owned()),
        (":method", "GET /open/smuggled HTTP/1.1\r\nX:".to_owned()),
        (":method", "GET /open/smuggled".to_owned()),
        (":method", String::new()),
        (":method", "post".to_owned()),
        (":method", "CONNECT".to_owned()),
        (":authority", "wiki.localhost\r\nX: smuggled".to_owned()),
        (":authority", "wiki.localhost/smuggled".to_owned()),
        (":authority", "a@wiki.localhost".to_owned()),
        (":authority", String::new()),
        (":scheme", "https://wiki.localhost/smuggled?".to_owned()),
        (":scheme", "https\r\n".to_owned()),
    ] {
        rows.push((name, vec![(name, value)], String::new()));
    }
    rows
}

/// The block of a request; a pseudo field among `more` takes the place of the usual one.
fn request(more: &[(&'static str, String)]) -> Vec<u8> {
    let mut headers: Vec<(&str, &str)> =
        vec![(":method", "POST"), (":scheme", "https"), (":authority", NAME), (":path", "/open/first")];
    for (name, value) in more {
        // A second path comes beside the first, anything else in its place.
        let usual = headers.iter_mut().take(4).find(|(usual, _)| usual == name && !value.contains("second"));
        match usual {
            Some(usual) => usual.1 = value,
            None => headers.push((name, value)),
        }
    }
    block(&headers)
}

#[tokio::test]
async fn http2_smuggles_nothing_into_http1() {
    let app = Recorder::start().await;
    let (gateway, authority) = secure(&app).await;
    let rows = h2();
    assert!(rows.len() >= 50, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (name, more, data) in &rows {
        for pieces in [false, true] {
            app.forget();
            let mut frames = Frames::connect(&authority, NAME, gateway.place.port, &[]).await;
            let end = if data.is_empty() { END_STREAM } else { 0 };
            frames.send(HEADERS, END_HEADERS | end, 1, &request(more)).await;
            if !data.is_empty() && pieces {
                // So that the head may have gone on when the fault comes.
                for byte in data.as_bytes().chunks(7) {
                    frames.send(DATA, 0, 1, byte).await;
                }
                frames.send(DATA, END_STREAM, 1, b"").await;
            } else if !data.is_empty() {
                frames.send(DATA, END_STREAM, 1, data.as_bytes()).await;
            }
            let status = frames.outcome(1).await;
            let shown: Vec<String> = more.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            let raw = String::from_utf8_lossy(&app.raw()).into_owned();
            // The HTTP/2 library cuts a fragment off before anybody sees it; what is judged is what goes on.
            let cut = shown.iter().any(|field| field.contains("#smuggled"));
            let refused = [0, 400, 405, 421].contains(&status);
            if !refused && (!cut || status != 200) {
                wrong.push(format!("{name} {shown:?}: answered with {status}; the app got {raw:?}"));
            }
            if let Some(complaint) = app.complaint() {
                wrong.push(format!("{name} {shown:?}: the app got {complaint}"));
            }
            // With a length of nothing the request is whole before the data that contradicts it comes.
            let whole = |message: &Message| cut || message.all("content-length") == ["0"];
            let messages = app.messages();
            // What came of a body before it broke off is in the frame that the head announced.
            let head = raw.split("\r\n\r\n").next().unwrap_or_default();
            if messages.len() > 1 || !messages.iter().all(whole) || head.contains("smuggled") {
                wrong.push(format!("{name} {shown:?}: the app got {raw:?}"));
            }
        }
        // The connections to the app are as they were.
        app.forget();
        let mut frames = Frames::connect(&authority, NAME, gateway.place.port, &[]).await;
        let probe =
            [(":method", "GET"), (":scheme", "https"), (":authority", NAME), (":path", "/open/probe")];
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&probe)).await;
        assert_eq!(frames.outcome(1).await, 200, "after {name} {more:?}");
        let messages = app.messages();
        // One that was whole may arrive late.
        let only = messages.last().is_some_and(|message| message.head.starts_with("GET /open/probe "));
        assert!(only, "after {name} {more:?}: {messages:?}");
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[tokio::test]
async fn an_expectation_over_http2_is_not_forwarded_either() {
    let app = Recorder::start().await;
    let (gateway, authority) = secure(&app).await;
    let mut frames = Frames::connect(&authority, NAME, gateway.place.port, &[]).await;
    let more = [("expect", "100-continue".to_owned()), ("content-length", "5".to_owned())];
    frames.send(HEADERS, END_HEADERS, 1, &request(&more)).await;
    frames.send(DATA, END_STREAM, 1, b"hello").await;
    assert_eq!(frames.outcome(1).await, 200);
    let messages = app.messages();
    assert_eq!((messages.len(), messages[0].body.as_slice()), (1, &b"hello"[..]));
    assert_eq!(app.complaint(), None);
}

#[tokio::test]
async fn a_piece_of_nothing_over_http2_does_not_end_the_body_for_the_app() {
    let app = Recorder::start().await;
    let (gateway, authority) = secure(&app).await;
    let mut frames = Frames::connect(&authority, NAME, gateway.place.port, &[]).await;
    // In chunks, the length of nothing means the end, and the rest would be the next request.
    frames.send(HEADERS, END_HEADERS, 1, &request(&[])).await;
    for piece in ["", "before", "", "", SMUGGLED, ""] {
        frames.send(DATA, 0, 1, piece.as_bytes()).await;
    }
    frames.send(DATA, END_STREAM, 1, b"").await;
    assert_eq!(frames.outcome(1).await, 200);
    let messages = app.messages();
    assert_eq!((messages.len(), app.complaint()), (1, None));
    assert_eq!(messages[0].body, format!("before{SMUGGLED}").as_bytes());
}
