//! What was tried against guards elsewhere, in every dialect by which other proxies ask: each row says what a visitor
//! sends and who may pass. Nothing but a yes is a 2xx, and nothing else names anybody.

use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::raw::RawAnswer;
use crate::harness::raw::exchange;

const BOB: &str = "bob@example.com";

/// `/open/` is for everybody, `/staff/` for Alice alone, `/near/` for some addresses, the rest for whoever is signed in.
const SITES: &str = r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["alice@example.com", "bob@example.com"]
[[site.app]]
host = "localhost"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/staff/"
allow = ["alice@example.com"]
[[site.app.route]]
path = "/near/"
clients = ["203.0.113.0/24"]
access = "public"
[[site.app.route]]
path = "/feed/"
methods = ["GET"]
access = "public"
[[site]]
name = "bank"
url = "https://bank.example.com"
allow = ["alice@example.com"]
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Nginx,
    Forward,
    Envoy,
}

const ALL: [Dialect; 3] = [Dialect::Nginx, Dialect::Forward, Dialect::Envoy];

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Everybody,
    Bob,
    Nobody,
}

use May::Bob;
use May::Everybody;
use May::Nobody;

/// One request, as its proxy tells it.
struct Asked<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    /// Whole lines.
    more: &'a [u8],
}

impl Asked<'_> {
    /// The question of a proxy that asks about it.
    fn question(&self, dialect: Dialect, cookie: &str) -> Vec<u8> {
        let Self { method, host, target, more } = self;
        let mut head = match dialect {
            Dialect::Nginx => format!(
                "GET /.linkgate/check/nginx HTTP/1.1\r\nhost: linkgate\r\nx-original-method: {method}\r\n\
                 x-original-url: http://{host}{target}\r\n"
            ),
            Dialect::Forward => format!(
                "GET /.linkgate/check/forward?x=/open/ HTTP/1.1\r\nhost: linkgate\r\nx-forwarded-method: {method}\r\n\
                 x-forwarded-proto: http\r\nx-forwarded-host: {host}\r\nx-forwarded-uri: {target}\r\n"
            ),
            Dialect::Envoy => format!(
                "{method} /.linkgate/check/envoy{target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-proto: http\r\n"
            ),
        };
        if !cookie.is_empty() {
            head = format!("{head}cookie: {cookie}\r\n");
        }
        let mut bytes = format!("{head}connection: close\r\n").into_bytes();
        bytes.extend_from_slice(more);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

struct Table {
    gateway: Gateway,
    session: String,
    host: String,
}

impl Table {
    async fn start() -> Self {
        let config = format!("trusted_proxies = [\"127.0.0.1\"]\n{HEAD}{SITES}");
        let gateway = Gateway::start_with(Place::new(), &config).await;
        let bob = Browser::new();
        gateway.sign_in(&bob, BOB, &gateway.url("/.linkgate/")).await;
        let host = format!("localhost:{}", gateway.place.port);
        Self { gateway, session: format!("linkgate={}", bob.cookie("localhost", "linkgate")), host }
    }

    /// Asks in this dialect, as Bob and as nobody.
    async fn row(&self, dialect: Dialect, asked: &Asked<'_>, may: May) {
        for (who, cookie) in [(May::Bob, self.session.as_str()), (May::Nobody, "")] {
            let answer = exchange(self.gateway.place.port, &asked.question(dialect, cookie)).await;
            let passes = may == Everybody || (may == Bob && who == May::Bob);
            Self::judge(dialect, asked, who, passes, &answer);
        }
    }

    fn judge(dialect: Dialect, asked: &Asked<'_>, who: May, passes: bool, answer: &RawAnswer) {
        let said = format!(
            "{dialect:?}: {} {:?} {:?} {:?} by {who:?} got\n{}",
            asked.method,
            asked.host,
            asked.target,
            String::from_utf8_lossy(asked.more),
            answer.text
        );
        assert_eq!((200..300).contains(&answer.status), passes, "{said}");
        let known: &[u16] = match dialect {
            // nginx makes a 500 of anything else, be it refused before it is looked at.
            Dialect::Nginx => &[200, 400, 401, 403],
            Dialect::Forward | Dialect::Envoy => &[200, 303, 400, 401, 403, 404, 405, 421],
        };
        assert!(known.contains(&answer.status), "{said}");
        let text = answer.text.to_ascii_lowercase();
        let named = text.contains(&format!("\r\nremote-email: {BOB}\r\n"));
        assert!(!named || (passes && who == May::Bob), "{said}");
        if passes {
            // Every header is there, be it empty.
            for name in ["remote-user", "remote-email", "remote-name", "remote-groups", "linkgate-assertion"]
            {
                assert_eq!(text.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {said}");
            }
        } else {
            assert!(!text.contains("\r\nremote-") && !text.contains("\r\nlinkgate-assertion"), "{said}");
        }
        assert!(!text.contains("s3cret"), "{said}");
        assert_eq!(answer.answers, 1, "{said}");
    }
}

#[tokio::test]
async fn addresses_that_programs_read_differently_lead_around_no_rule() {
    let table = Table::start().await;
    for (target, may) in [
        ("/open/x", Everybody),
        ("/page", Bob),
        ("/staff/x", Nobody),
        // Doubled slashes, dot segments.
        ("//open/x", Nobody),
        ("/open//x", Nobody),
        ("//staff/x", Nobody),
        ("/open/../staff/x", Nobody),
        ("/open/./x", Nobody),
        ("/open/..", Nobody),
        ("/open/%2e%2e/staff/x", Nobody),
        ("/open/.%2e/staff/x", Nobody),
        ("/%2e/open/x", Nobody),
        // Encoded slashes and the like.
        ("/open%2fx", Nobody),
        ("/open/..%2fstaff/x", Nobody),
        ("/open/..%5cstaff/x", Nobody),
        ("/staff%2Fx", Nobody),
        ("/open/%252e%252e/staff/x", Nobody),
        ("/open/%c0%ae%c0%ae/staff/x", Nobody),
        ("/open/x%00", Nobody),
        ("/open/x%0d%0aremote-user:%20root", Nobody),
        ("/open/\\..\\staff\\x", Nobody),
        ("/open/..;/staff/x", Nobody),
        ("/open/x;y", Nobody),
        // Other spellings of a plain character.
        ("/%73taff/x", Nobody),
        ("/st%61ff", Nobody),
        ("/%6fpen/x", Everybody),
        // A query is nobody's path, and a fragment nobody's at all.
        ("/page?/open/", Bob),
        ("/staff/x?/open/x", Nobody),
        ("/open/x?/staff/", Everybody),
        ("/staff/x#/open/", Nobody),
        ("/open/x#", Nobody),
        ("/open/x?#y", Nobody),
        ("/open/%zz", Nobody),
        ("/open/%", Nobody),
        // Absolute and other forms.
        ("http://localhost/open/x", Nobody),
        ("https://evil.example/open/x", Nobody),
        ("open/x", Nobody),
        ("*", Nobody),
        ("@evil.example/open/x", Nobody),
        // Ours.
        ("/.linkgate/", Nobody),
        ("/.linkgate/session", Nobody),
        ("/.LINKGATE/session", Nobody),
        ("/%2elinkgate/session", Nobody),
        ("/open/../.linkgate/session", Nobody),
        ("//.linkgate/session", Nobody),
        ("/.linkgate;x/session", Nobody),
        ("/.linkgate/check/nginx", Nobody),
        ("/.linkgate/check/forward", Nobody),
        ("/.linkgate/check/envoy/open/x", Nobody),
    ] {
        let asked = Asked { method: "GET", host: &table.host, target, more: b"" };
        for dialect in ALL {
            table.row(dialect, &asked, may).await;
        }
    }
    let long = format!("/open/{}", "x".repeat(17_000));
    let asked = Asked { method: "GET", host: &table.host, target: &long, more: b"" };
    for dialect in [Dialect::Nginx, Dialect::Forward] {
        table.row(dialect, &asked, Nobody).await;
    }
}

#[tokio::test]
async fn a_host_is_one_host_however_it_is_written_and_no_other() {
    let table = Table::start().await;
    let port = table.gateway.place.port;
    for (host, public) in [
        (format!("LOCALHOST:{port}"), Everybody),
        (format!("Localhost.:{port}"), Everybody),
        ("localhost".to_owned(), Everybody),
        ("localhost:1".to_owned(), Everybody),
        (format!("localhost..:{port}"), Nobody),
        (format!("evil.example:{port}"), Nobody),
        ("localhost.evil.example".to_owned(), Nobody),
        ("evil.example@localhost".to_owned(), Nobody),
        ("localhost@evil.example".to_owned(), Nobody),
        ("localhost:80:80".to_owned(), Nobody),
        ("localhost:x".to_owned(), Nobody),
        ("localhost,evil.example".to_owned(), Nobody),
        ("localhost evil.example".to_owned(), Nobody),
        ("localhost%00.evil.example".to_owned(), Nobody),
        ("127.0.0.1".to_owned(), Nobody),
        ("[::1]".to_owned(), Nobody),
        // Only by https.
        ("bank.example.com".to_owned(), Nobody),
    ] {
        for dialect in ALL {
            for (target, may) in [("/open/x", public), ("/staff/x", Nobody)] {
                let asked = Asked { method: "GET", host: &host, target, more: b"" };
                table.row(dialect, &asked, may).await;
            }
        }
    }
}

#[tokio::test]
async fn methods_are_taken_as_they_are() {
    let table = Table::start().await;
    for (method, may) in [
        ("GET", Everybody),
        ("POST", Bob),
        ("OPTIONS", Bob),
        ("PROPFIND", Bob),
        ("get", Nobody),
        ("Get", Nobody),
        ("TRACE", Nobody),
        ("G=T", Nobody),
    ] {
        for dialect in ALL {
            let asked = Asked { method, host: &table.host, target: "/feed/x", more: b"" };
            table.row(dialect, &asked, may).await;
        }
    }
}

#[tokio::test]
async fn what_a_visitor_adds_changes_neither_the_question_nor_who_asks() {
    let table = Table::start().await;
    let host = table.host.clone();
    let open = [
        "x-rewrite-url: /open/x".to_owned(),
        "x-original-uri: /open/x".to_owned(),
        "x-http-method-override: GET".to_owned(),
        "x-forwarded-path: /open/x".to_owned(),
        "x-forwarded-prefix: /open".to_owned(),
        "x-envoy-original-path: /open/x".to_owned(),
        "forwarded: for=127.0.0.1;host=localhost;proto=http".to_owned(),
        "remote-user: s3cret".to_owned(),
        "remote-email: s3cret".to_owned(),
        "linkgate-assertion: s3cret".to_owned(),
        "x-forwarded-user: s3cret".to_owned(),
        "location: s3cret".to_owned(),
        // No health check is let in by what it calls itself.
        "user-agent: kube-probe/1.30".to_owned(),
        "user-agent: GoogleHC/1.0".to_owned(),
        "user-agent: ELB-HealthChecker/2.0".to_owned(),
        "authorization: Bearer".to_owned(),
        "authorization: Bearer  ".to_owned(),
        "authorization: Bearer a.b.c".to_owned(),
        "authorization: bearer eyJhbGciOiJub25lIn0.e30.".to_owned(),
        format!("authorization: Bearer {}", "x".repeat(5_000)),
        "authorization: Basic !".to_owned(),
        "authorization: Basic YWxpY2VAZXhhbXBsZS5jb206".to_owned(),
        "authorization: Negotiate".to_owned(),
    ];
    // The other dialects' own headers, as Caddy and Envoy pass them on from a visitor.
    let of_others = |dialect| match dialect {
        Dialect::Nginx => vec!["x-forwarded-uri: /open/x".to_owned(), "x-forwarded-method: GET".to_owned()],
        Dialect::Forward => {
            vec![format!("x-original-url: http://{host}/open/x"), "x-original-method: GET".to_owned()]
        }
        Dialect::Envoy => vec![
            format!("x-original-url: http://{host}/open/x"),
            "x-forwarded-uri: /open/x".to_owned(),
            format!("x-forwarded-host: {host}"),
            "x-forwarded-host: evil.example".to_owned(),
        ],
    };
    for dialect in ALL {
        for line in open.iter().cloned().chain(of_others(dialect)) {
            let more = format!("{line}\r\n");
            for (target, may) in [("/staff/x", Nobody), ("/page", Bob)] {
                let asked = Asked { method: "GET", host: &host, target, more: more.as_bytes() };
                table.row(dialect, &asked, may).await;
            }
        }
    }
}

#[tokio::test]
async fn a_malformed_credential_is_none() {
    let table = Table::start().await;
    let lines: [&[u8]; 14] = [
        b"cookie: ;;=\"\r\n",
        b"cookie: linkgate\r\n",
        b"cookie: linkgate=\r\n",
        b"cookie: linkgate=;linkgate=\r\n",
        b"cookie: linkgate=a.b.c\r\n",
        b"cookie: linkgate==.=.=\r\n",
        b"cookie: linkgate=\xff\xfe\r\n",
        b"cookie: linkgate=eyJhbGciOiJub25lIn0.e30.\r\n",
        b"cookie: =linkgate=x\r\n",
        b"cookie:\r\n",
        b"authorization: Bearer \xff\r\n",
        b"authorization:\r\n",
        b"authorization: Bearer a.b.c\r\nauthorization: Bearer a.b.c\r\n",
        b"authorization: \t\r\n",
    ];
    for dialect in ALL {
        for more in lines {
            for (target, passes) in [("/page", false), ("/staff/x", false), ("/open/x", true)] {
                let asked = Asked { method: "GET", host: &table.host, target, more };
                let answer = exchange(table.gateway.place.port, &asked.question(dialect, "")).await;
                Table::judge(dialect, &asked, Nobody, passes, &answer);
            }
        }
    }
}

#[tokio::test]
async fn a_second_copy_of_what_the_proxy_says_is_a_doubt() {
    let table = Table::start().await;
    let own = |dialect| match dialect {
        Dialect::Nginx => {
            vec![format!("x-original-url: http://{}/open/x", table.host), "x-original-method: GET".into()]
        }
        Dialect::Forward => vec![
            "x-forwarded-method: GET".to_owned(),
            "x-forwarded-proto: http".to_owned(),
            format!("x-forwarded-host: {}", table.host),
            "x-forwarded-uri: /open/x".to_owned(),
        ],
        Dialect::Envoy => vec!["x-forwarded-proto: http".to_owned(), "host: localhost".to_owned()],
    };
    for dialect in ALL {
        for line in own(dialect) {
            let more = format!("{line}\r\n");
            let asked = Asked { method: "GET", host: &table.host, target: "/open/x", more: more.as_bytes() };
            table.row(dialect, &asked, Nobody).await;
        }
    }
}

#[tokio::test]
async fn the_left_most_address_is_nobodys() {
    let table = Table::start().await;
    for (chain, may) in [
        ("203.0.113.9", Everybody),
        ("198.51.100.7, 203.0.113.9", Everybody),
        ("203.0.113.9, 198.51.100.7", Bob),
        ("198.51.100.7", Bob),
        ("", Bob),
        ("unknown", Nobody),
        ("203.0.113.9, ", Nobody),
        ("203.0.113.9;198.51.100.7", Nobody),
    ] {
        let more = format!("x-forwarded-for: {chain}\r\n");
        for dialect in ALL {
            let asked = Asked { method: "GET", host: &table.host, target: "/near/x", more: more.as_bytes() };
            table.row(dialect, &asked, may).await;
        }
    }
}
