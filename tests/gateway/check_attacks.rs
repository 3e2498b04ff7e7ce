//! The table of attacks in every dialect by which other proxies ask. Nothing but a yes is a 2xx, and nothing else names
//! anybody.

use crate::harness::attacks;
use crate::harness::attacks::May;
use crate::harness::attacks::May::Bob;
use crate::harness::attacks::May::Everybody;
use crate::harness::attacks::May::Nobody;
use crate::harness::attacks::replace;
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
            // An absolute target or a second host is tried through the real one.
            Dialect::Nginx => format!(
                "GET /.linkgate/check/nginx HTTP/1.1\r\nhost: linkgate\r\nx-original-method: {method}\r\n\
                 x-forwarded-host: {host}\r\n\
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

    fn written(&self, text: &str) -> String {
        let text = text.replace("@HOST@", &self.host).replace("@NAME@", "localhost");
        text.replace("@UPPER@", "LOCALHOST").replace("@PORT@", &self.gateway.place.port.to_string())
    }

    /// Asks in this dialect, as Bob and as nobody.
    async fn row(&self, dialect: Dialect, asked: &Asked<'_>, may: May) {
        for (who, cookie) in [(May::Bob, self.session.as_str()), (May::Nobody, "")] {
            let answer = exchange(self.gateway.place.port, &asked.question(dialect, cookie)).await;
            Self::judge(dialect, asked, who, may.admits(who), &answer);
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
            for name in attacks::IDENTITY {
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
    let whole = attacks::WHOLE_TARGETS.iter().map(|target| (table.written(target), Nobody));
    let plain = attacks::TARGETS.iter().map(|(target, may)| ((*target).to_owned(), *may));
    for (target, may) in plain.chain(whole) {
        let asked = Asked { method: "GET", host: &table.host, target: &target, more: b"" };
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
    for (host, public) in attacks::HOSTS {
        let host = table.written(host);
        for dialect in ALL {
            for (target, may) in [("/open/x", *public), ("/staff/x", Nobody)] {
                let asked = Asked { method: "GET", host: &host, target, more: b"" };
                table.row(dialect, &asked, may).await;
            }
        }
    }
}

#[tokio::test]
async fn methods_are_taken_as_they_are() {
    let table = Table::start().await;
    for (method, may) in attacks::METHODS {
        for dialect in ALL {
            let asked = Asked { method, host: &table.host, target: "/feed/x", more: b"" };
            table.row(dialect, &asked, *may).await;
        }
    }
}

#[tokio::test]
async fn what_a_visitor_adds_changes_neither_the_question_nor_who_asks() {
    let table = Table::start().await;
    let host = table.host.clone();
    let long = format!("authorization: Bearer {}", "x".repeat(5_000));
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
        let added = attacks::ADDED.iter().map(|line| table.written(line)).chain([long.clone()]);
        for line in added.chain(of_others(dialect)) {
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
    for dialect in ALL {
        for line in attacks::MALFORMED {
            let more = replace(line, "@COOKIE@", "linkgate");
            for (target, passes) in [("/page", false), ("/staff/x", false), ("/open/x", true)] {
                let asked = Asked { method: "GET", host: &table.host, target, more: &more };
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
            vec![
                format!("x-original-url: http://{}/open/x", table.host),
                "x-original-method: GET".into(),
                format!("x-forwarded-host: {}", table.host),
            ]
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
