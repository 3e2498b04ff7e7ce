//! What every proxy that asks linkgate keeps of our promises: told once, run before each of them.

use super::PATIENCE;
use super::app::App;
use super::app::Seen;
use super::attacks::IDENTITY;
pub use super::attacks::no_address_that_programs_read_differently_leads_around_a_rule;
pub use super::attacks::no_host_that_programs_read_differently_leads_around_a_rule;
pub use super::attacks::no_line_that_a_visitor_adds_changes_what_is_asked;
pub use super::attacks::no_malformed_credential_is_one;
pub use super::attacks::no_request_names_one_host_to_the_rules_and_another_to_the_proxy;
use super::eventually;
use super::guard::ALICE;
use super::guard::BOB;
use super::guard::Guard;
use super::guard::HOST;
use super::guard::Kind;
use super::guard::NEAR;
use super::guard::OTHER;
use super::guard::blocks;
use super::process::assert_within_a_second;
use super::stage::Wire;
use super::websocket;
use serde_json::json;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

const SESSION: &str = "__Host-linkgate";

/// One test a promise, for this kind of proxy. `and …`: of those that not every kind can keep, only these.
macro_rules! promises {
    ($kind:ident) => {
        crate::harness::promises::promises!($kind and
            no_spelling_of_an_identity_reaches_the_app,
            nobody_passes_while_linkgate_is_silent,
            no_cookie_of_the_app_takes_the_place_of_ours
        );
    };
    ($kind:ident and $($name:ident),+) => {
        crate::harness::promises::promises!($kind:
            a_person_signs_in_and_comes_back_to_the_very_address,
            the_app_learns_who_it_is_and_nothing_of_the_session,
            no_visitor_chooses_an_address,
            another_host_of_the_site_lets_in_without_a_second_letter,
            everybody_gets_the_answer_that_fits,
            nobody_asks_linkgate_in_the_proxys_name,
            no_address_that_programs_read_differently_leads_around_a_rule,
            no_host_that_programs_read_differently_leads_around_a_rule,
            no_request_names_one_host_to_the_rules_and_another_to_the_proxy,
            no_line_that_a_visitor_adds_changes_what_is_asked,
            no_malformed_credential_is_one,
            an_address_arrives_as_it_was_written,
            a_rule_for_addresses_sees_the_visitors_own,
            a_websocket_opens_for_the_app_s_own_pages_only,
            bodies_long_addresses_and_large_headers_arrive_whole,
            a_preflight_passes_where_a_rule_lets_it,
            signing_out_ends_it,
            a_revoked_session_ends_within_a_second,
            nobody_passes_while_linkgate_is_away,
            many_at_once_are_never_taken_for_each_other,
            a_renewed_cookie_reaches_the_browser,
            $($name),+
        );
    };
    ($kind:ident: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            crate::harness::promises::$name($kind).await;
        })+
    };
}
pub(crate) use promises;

/// The app learned all that linkgate says of Alice.
#[track_caller]
fn is_alice(seen: &Seen) {
    let told = IDENTITY.map(|name| seen.all(name));
    assert_eq!(told.each_ref().map(Vec::len), [1; 5], "{:?}", seen.headers);
    // The app reads bytes as Latin-1.
    let name: String = "Älice".bytes().map(char::from).collect();
    assert_eq!(told[..4], [["1017"], [ALICE], [name.as_str()], ["staff"]], "{:?}", seen.headers);
    assert_eq!(told[4][0].split('.').count(), 3);
}

/// The app learned that nobody is named: all headers are empty, or left out by a proxy that sends no empty ones.
#[track_caller]
fn is_nobody(seen: &Seen) {
    for name in IDENTITY {
        let told = seen.all(name);
        assert!(told.is_empty() || told == [""], "{name} in {:?}", seen.headers);
    }
}

pub async fn a_person_signs_in_and_comes_back_to_the_very_address(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.browser();
    let letter = guard.gateway.ask(&alice, ALICE, &guard.url("/page?x=%2F&y=ü&x=1#part")).await;
    assert!(app.seen().is_empty(), "nothing reaches the app before: {:?}", app.seen());
    let page = alice.follow(&letter.link).await.expect(200);
    assert_eq!(page.url.as_str(), guard.url("/page?x=%2F&y=%C3%BC&x=1"));
    let seen = app.request("/page").await;
    assert_eq!(seen.target, "/page?x=%2F&y=%C3%BC&x=1");
    is_alice(&seen);
}

pub async fn the_app_learns_who_it_is_and_nothing_of_the_session(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    alice.set_cookie(HOST, "theme", "dark");
    alice.set_cookie(HOST, "lang", "\"de\"");
    alice.visit(&guard.url("/second")).await.expect(200);
    let seen = app.request("/second").await;
    is_alice(&seen);
    let cookies = seen.header("cookie");
    assert!(cookies.contains("theme=dark") && cookies.contains("lang=\"de\""), "{cookies}");
    assert!(!cookies.contains("__Host-linkgate="), "{cookies}");
    assert_eq!(seen.header("x-forwarded-proto"), "https");
    assert_eq!(seen.header("host"), format!("{HOST}:{}", guard.port));
    // Alone, the session leaves nothing behind.
    let session = alice.cookie(HOST, SESSION);
    let lone = guard.browser();
    lone.set_cookie(HOST, SESSION, &session);
    lone.visit(&guard.url("/third")).await.expect(200);
    assert_eq!(app.request("/third").await.header("cookie"), "");

    guard.browser().visit(&guard.url("/open/x")).await.expect(200);
    let seen = app.request("/open/x").await;
    is_nobody(&seen);
    // What nobody sent is not there, nor empty: an app may take an empty one for a wrong password.
    assert!(seen.all("cookie").is_empty() && seen.all("authorization").is_empty(), "{:?}", seen.headers);
    let own = [("authorization", "Basic YXBwOnB3"), ("cookie", "theme=dark")];
    guard.browser().visit_with(&guard.url("/open/own"), &own).await.expect(200);
    let seen = app.request("/open/own").await;
    assert_eq!(seen.all("authorization"), ["Basic YXBwOnB3"], "{:?}", seen.headers);
    assert_eq!(seen.all("cookie"), ["theme=dark"], "{:?}", seen.headers);
}

/// Every name that linkgate takes from visitors itself, as its source lists them.
fn reserved() -> Vec<String> {
    let source = include_str!("../../../src/proxy/fold.rs");
    let list = |name: &str| {
        let rest = source.split_once(&format!("const {name}: &[&[u8]] = &[")).expect("the list").1;
        let rest = rest.split_once("];").expect("its end").0;
        let names: Vec<String> = rest.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(names.len() > 10, "{names:?}");
        names
    };
    let mut all = list("NAMES");
    // A family's members: whatever stands behind its beginning.
    all.extend(list("FAMILIES").iter().map(|family| format!("{}user", family.trim_end_matches("user"))));
    all.extend(IDENTITY.map(str::to_owned));
    all.extend(
        ["x-original-url", "x-forwarded-uri", "x-forwarded-for", "remote-anything"].map(str::to_owned),
    );
    all
}

type Spell = fn(&str) -> String;

pub async fn no_spelling_of_an_identity_reaches_the_app(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let (alice, nobody) = (guard.signed_in(ALICE).await, guard.browser());
    let names = reserved();
    let spellings: [Spell; 4] = [
        str::to_owned,
        |name| name.replace('-', "_"),
        |name| name.to_ascii_uppercase().replace('-', "."),
        |name| name.replacen('-', "~", 1),
    ];
    for spell in spellings {
        for part in names.chunks(40) {
            let spoofed: Vec<String> = part.iter().map(|name| spell(name)).collect();
            let headers: Vec<(&str, &str)> = spoofed.iter().map(|name| (name.as_str(), "s3cret")).collect();
            for (who, path) in [(&alice, "/page"), (&nobody, "/open/page")] {
                app.forget();
                let answer = who.visit_with(&guard.url(path), &headers).await;
                // To refuse is as good as to take them out.
                if answer.status != 200 {
                    assert!(matches!(answer.status, 400 | 403), "{}: {spoofed:?}", answer.status);
                    assert!(app.seen().is_empty(), "{:?}", app.seen());
                    continue;
                }
                let seen = app.request(path).await;
                let spoof = seen.headers.iter().find(|(_, value)| value.contains("s3cret"));
                assert!(spoof.is_none(), "{spoof:?} of {spoofed:?}");
                if path == "/page" { is_alice(&seen) } else { is_nobody(&seen) }
            }
        }
    }
    // One after the other, for a proxy that refused some above may let others through.
    for name in ["Remote_User", "remote.user", "Remote-Groups", "X-Forwarded-User", "X_Original_URL"] {
        app.forget();
        let answer = alice.visit_with(&guard.url("/one"), &[(name, "s3cret")]).await;
        if answer.status == 200 {
            let seen = app.request("/one").await;
            assert!(!seen.headers.iter().any(|(_, value)| value == "s3cret"), "{name}: {:?}", seen.headers);
            is_alice(&seen);
        }
    }
    // Told that a header is for this hop only, a proxy must not take ours for it.
    for hop in ["close, Remote-User", "Linkgate-Assertion", "close, remote-groups, cookie"] {
        app.forget();
        let answer =
            alice.visit_with(&guard.url("/hop"), &[("connection", hop), ("remote-user", "s3cret")]).await;
        if answer.status == 200 {
            is_alice(&app.request("/hop").await);
        } else {
            assert!(app.seen().is_empty(), "{hop}: {:?}", app.seen());
        }
    }
}

pub async fn no_visitor_chooses_an_address(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let nobody = guard.browser();
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9, 203.0.113.10"),
        ("x-real-ip", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-envoy-external-address", "203.0.113.9"),
        ("x-forwarded-uri", "/open/x"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-original-url", "/open/x"),
    ] {
        let answer = nobody.visit_with(&guard.url("/near/x"), &[(name, value)]).await;
        assert!(matches!(answer.status, 303 | 400 | 403), "{name}: {value} got {}", answer.status);
    }
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    nobody.visit_with(&guard.url("/open/x"), &[("x-forwarded-for", "203.0.113.9")]).await.expect(200);
    let address = app.request("/open/x").await.header("x-forwarded-for");
    assert!(address.parse::<IpAddr>().is_ok() && !address.starts_with("203."), "{address}");
}

pub async fn another_host_of_the_site_lets_in_without_a_second_letter(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let other = format!("https://{OTHER}:{}/album?year=2026&x=%2F", guard.port);
    let page = alice.follow(&other).await.expect(200);
    assert_eq!(page.url.as_str(), other);
    is_alice(&app.request("/album").await);
    assert_eq!(guard.gateway.letters().len(), 1);
    assert_ne!(alice.cookie(OTHER, SESSION), alice.cookie(HOST, SESSION));
}

pub async fn everybody_gets_the_answer_that_fits(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let nobody = guard.browser();
    let page = nobody.visit(&guard.url("/page?a=1&b=2")).await.expect(303);
    assert!(page.location().starts_with(&guard.url("/.linkgate/login?return_to=")), "{}", page.location());
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let json = nobody.json(method, &guard.url("/api/x"), &json!({"a": 1})).await.expect(401);
        assert_eq!(json.json()["type"], "urn:linkgate:problem:not-signed-in");
        assert_eq!(json.header("content-type"), "application/problem+json");
        assert!(json.header("www-authenticate").starts_with("Bearer"), "{:?}", json.headers);
    }
    let fetch = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "*/*")];
    nobody.send("GET", &guard.url("/page"), &fetch, Vec::new()).await.expect(401);
    for (name, value) in
        [("authorization", "Bearer garbage"), ("authorization", "Basic !"), ("cookie", ";;=\"")]
    {
        let answer = nobody.send("GET", &guard.url("/page"), &[(name, value)], Vec::new()).await;
        assert!(matches!(answer.status, 401 | 403), "{name}: {value} got {}", answer.status);
    }
    let probe = [("user-agent", "kube-probe/1.30")];
    nobody.send("GET", &guard.url("/healthz"), &probe, Vec::new()).await.expect(401);

    let bob = guard.signed_in(BOB).await;
    app.forget();
    let no = bob.visit(&guard.url("/staff/")).await.expect(403);
    assert!(no.text().contains(BOB), "{}", no.text());
    assert!(no.header("content-type").starts_with("text/html"), "{:?}", no.headers);
    assert!(!no.header("content-security-policy").is_empty(), "{:?}", no.headers);
    let away = bob.visit(&guard.url("/bye")).await;
    assert_eq!((away.status, away.location()), (303, guard.url("/.linkgate/logout")));
    assert!(app.seen().is_empty(), "{:?}", app.seen());
}

pub async fn nobody_asks_linkgate_in_the_proxys_name(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    app.forget();
    let url = guard.url("/open/x");
    let own = [
        ("x-original-method", "GET"),
        ("x-original-url", url.as_str()),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-uri", "/open/x"),
    ];
    for path in [
        "/.linkgate/check/nginx",
        "/.linkgate/check/forward",
        "/.linkgate/check/envoy/open/x",
        "/.linkgate/check/%6eginx",
        "/.linkgate/%63heck/forward",
        "/.linkgate/%63hallenge",
        "/.linkgate/challenge",
        "//.linkgate//check/forward",
        "/%2elinkgate/check/forward",
        "/.linkgate/x/%2e%2e/check/forward",
    ] {
        for headers in [&own[..], &[]] {
            let answer = alice.visit_with(&guard.url(path), headers).await;
            assert!(matches!(answer.status, 400 | 403 | 404), "{path} got {}", answer.status);
            assert_eq!(answer.header("linkgate-assertion"), "", "{path}");
            assert_eq!(answer.header("remote-user"), "", "{path}");
        }
    }
    assert!(app.seen().is_empty(), "{:?}", app.seen());
}

pub async fn an_address_arrives_as_it_was_written(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    for path in ["/a%20b", "/%C3%BC/~x'()", "/a:b@c"] {
        alice.visit(&guard.url(path)).await.expect(200);
        assert!(app.seen().iter().any(|seen| seen.target == path), "{path}: {:?}", app.seen().last());
    }
}

pub async fn a_rule_for_addresses_sees_the_visitors_own(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let request = format!(
        "GET /near/x HTTP/1.1\r\nhost: {HOST}:{}\r\nx-forwarded-for: 203.0.113.9\r\nconnection: close\r\n\r\n",
        guard.port
    );
    let far = guard.exchange_from([127, 0, 0, 8], request.as_bytes()).await;
    assert!(matches!(far.status, 400 | 401 | 403) && app.seen().is_empty(), "{}", far.text);
    let near = guard.exchange_from(NEAR, request.replace("203.0.113.9", "127.0.0.8").as_bytes()).await;
    assert_eq!(near.status, 200, "{}", near.text);
    assert_eq!(app.request("/near/x").await.header("x-forwarded-for"), IpAddr::from(NEAR).to_string());
}

pub async fn a_websocket_opens_for_the_app_s_own_pages_only(kind: Kind) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = listener.local_addr().unwrap().to_string();
    let guard = Guard::with(kind, &app, "").await;
    let alice = guard.browser();
    // A page of ours: the app has no part in it.
    guard.gateway.sign_in(&alice, ALICE, &guard.url("/.linkgate/")).await;
    let host = format!("{HOST}:{}", guard.port);
    let ask = async |cookies: &str, origin: &str| {
        let mut visitor = guard.wire().await;
        let line =
            format!("GET /socket HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncookie: {cookies}\r\n");
        visitor.say(format!("{line}{}\r\n", websocket::ASKING)).await;
        visitor
    };
    let (cookies, own) = (alice.cookies(HOST), format!("https://{host}"));
    let no = ask("a=b", &own).await.until("\r\n\r\n").await;
    assert!(no.starts_with("HTTP/1.1 401 "), "{no}");
    let no = ask(&cookies, "https://evil.example").await.until("\r\n\r\n").await;
    assert!(no.starts_with("HTTP/1.1 403 "), "{no}");
    let mut visitor = ask(&cookies, &own).await;
    let accepted = timeout(PATIENCE, listener.accept()).await.expect("the proxy opens a connection");
    let mut app = Wire::new(accepted.unwrap().0);
    let asked = app.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(asked.contains(&format!("\r\nremote-email: {ALICE}\r\n")), "{asked}");
    assert!(asked.contains("\r\nupgrade: websocket\r\n"), "{asked}");
    app.say(websocket::YES).await;
    let yes = visitor.until("\r\n\r\n").await;
    assert!(yes.starts_with("HTTP/1.1 101 "), "{yes}");
    websocket::both_ways(&mut visitor, &mut app).await;
}

pub async fn bodies_long_addresses_and_large_headers_arrive_whole(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let body: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let sent = alice.send("POST", &guard.url("/upload"), &[("accept", "*/*")], body.clone()).await;
    assert_eq!(sent.status, 200);
    let seen = app.request("/upload").await;
    assert!(seen.method == "POST" && seen.body == body, "{} bytes", seen.body.len());
    is_alice(&seen);
    guard.browser().send("POST", &guard.url("/not"), &[("accept", "*/*")], body).await.expect(401);

    let long = format!("/long?{}", "q".repeat(6_000));
    alice.visit(&guard.url(&long)).await.expect(200);
    assert_eq!(app.request("/long").await.target, long);
    assert_eq!(guard.browser().visit(&guard.url(&long)).await.status, 303);
    let large = "v".repeat(6_000);
    alice.set_cookie(HOST, "large", &large);
    alice.visit_with(&guard.url("/large"), &[("x-large", &large)]).await.expect(200);
    let seen = app.request("/large").await;
    assert!(seen.header("x-large") == large && seen.header("cookie").contains(&large), "{:?}", seen.headers);
    is_alice(&seen);
    assert!(!app.seen().iter().any(|seen| seen.target == "/not"));
}

pub async fn a_preflight_passes_where_a_rule_lets_it(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let nobody = guard.browser();
    let preflight = [
        ("origin", "https://other.example.com"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type"),
    ];
    nobody.send("OPTIONS", &guard.url("/api/x"), &preflight, Vec::new()).await.expect(200);
    let seen = app.request("/api/x").await;
    assert_eq!(
        (seen.method.as_str(), seen.header("origin").as_str()),
        ("OPTIONS", "https://other.example.com")
    );
    is_nobody(&seen);
    nobody.send("OPTIONS", &guard.url("/page"), &preflight, Vec::new()).await.expect(401);
    nobody.send("PUT", &guard.url("/api/x"), &preflight[..1], Vec::new()).await.expect(401);
    assert_eq!(app.seen().len(), 1);
}

pub async fn signing_out_ends_it(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let kept = alice.cookie(HOST, SESSION);
    alice.post_form(&guard.url("/.linkgate/logout"), &[]).await.expect(303);
    assert_eq!(alice.cookie(HOST, SESSION), "");
    let thief = guard.browser();
    thief.set_cookie(HOST, SESSION, &kept);
    thief.visit(&guard.url("/")).await.expect(303);
}

pub async fn a_revoked_session_ends_within_a_second(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let (alice, bob) = (guard.signed_in(ALICE).await, guard.signed_in(BOB).await);
    alice.visit(&guard.url("/")).await.expect(200);
    guard.gateway.run(&["session", "revoke", "--email", ALICE]).await;
    let done = Instant::now();
    eventually("the session has ended", async || {
        (alice.visit(&guard.url("/")).await.status == 303).then_some(())
    })
    .await;
    assert_within_a_second(done);
    app.forget();
    alice.send("POST", &guard.url("/after"), &[("accept", "*/*")], vec![b'x'; 1_000]).await.expect(401);
    assert!(app.seen().is_empty());
    bob.visit(&guard.url("/")).await.expect(200);
}

pub async fn nobody_passes_while_linkgate_is_away(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let (alice, nobody) = (guard.signed_in(ALICE).await, guard.browser());
    guard.gateway.kill();
    app.forget();
    for (who, path) in [(&alice, "/"), (&alice, "/open/x"), (&nobody, "/open/x"), (&nobody, "/page")] {
        let answer = who.visit_with(&guard.url(path), &[("remote-user", "root")]).await;
        assert!(matches!(answer.status, 403 | 500 | 502 | 503 | 504), "{path} got {}", answer.status);
    }
    let post = alice.send("POST", &guard.url("/page"), &[("accept", "*/*")], b"x".to_vec()).await;
    assert!(matches!(post.status, 403 | 500 | 502 | 503 | 504), "{}", post.status);
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    guard.gateway.restart().await;
    eventually("linkgate is asked again", async || {
        (alice.visit(&guard.url("/back")).await.status == 200).then_some(())
    })
    .await;
    is_alice(&app.request("/back").await);
}

pub async fn nobody_passes_while_linkgate_is_silent(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    app.forget();
    guard.gateway.signal("STOP");
    let begun = Instant::now();
    let answer = alice.visit(&guard.url("/page")).await;
    let waited = begun.elapsed();
    guard.gateway.signal("CONT");
    assert!(matches!(answer.status, 403 | 500 | 502 | 503 | 504), "{}", answer.status);
    assert!(waited < PATIENCE / 2, "{waited:?}");
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    eventually("linkgate is asked again", async || {
        (alice.visit(&guard.url("/back")).await.status == 200).then_some(())
    })
    .await;
}

pub async fn many_at_once_are_never_taken_for_each_other(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let people = [guard.signed_in(ALICE).await, guard.signed_in(BOB).await, guard.browser()].map(Arc::new);
    app.forget();
    let mut asked = JoinSet::new();
    for number in 0..40 {
        for (who, browser) in ["alice", "bob", "nobody"].iter().zip(&people) {
            let (url, browser) = (guard.url(&format!("/open/{who}/{number}")), Arc::clone(browser));
            asked.spawn(async move { browser.visit(&url).await.status });
        }
    }
    assert!(asked.join_all().await.iter().all(|status| *status == 200));
    let seen = app.seen();
    assert_eq!(seen.len(), 120);
    for seen in seen {
        match seen.target.split('/').nth(2) {
            Some("alice") => is_alice(&seen),
            Some("bob") => assert_eq!(seen.header("remote-email"), BOB),
            _ => is_nobody(&seen),
        }
    }
}

pub async fn a_renewed_cookie_reaches_the_browser(kind: Kind) {
    let app = App::start().await;
    let address = app.url();
    // Due after a tenth of this.
    let guard = Guard::with(kind, address.trim_start_matches("http://"), "idle = \"1m\"").await;
    let alice = guard.signed_in(ALICE).await;
    let first = alice.cookies(HOST);
    let renewed = eventually("the session is carried on", async || {
        // The app sets cookies of its own, one of them in our name.
        let asking = guard.browser();
        first.split("; ").filter_map(|cookie| cookie.split_once('=')).for_each(|(name, value)| {
            asking.set_cookie(HOST, name, value);
        });
        let answer = asking.visit(&guard.url("/cookies")).await.expect(200);
        let all: Vec<String> = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(|cookie| cookie.to_str().unwrap().to_owned())
            .collect();
        assert!(all.iter().any(|cookie| cookie.starts_with("second=2")), "{all:?}");
        let ours = |cookie: &&String| cookie.starts_with("__Host-linkgate=") && !cookie.contains("=stolen");
        all.iter().find(ours).cloned()
    })
    .await;
    assert!(renewed.contains("HttpOnly") && renewed.contains("Secure"), "{renewed}");
    let value = renewed.split(['=', ';']).nth(1).unwrap();
    assert!(!first.contains(value), "{renewed}");
    let fresh = guard.browser();
    fresh.set_cookie(HOST, SESSION, value);
    fresh.visit(&guard.url("/fresh")).await.expect(200);
    is_alice(&app.request("/fresh").await);
}

/// A browser keeps no `__Host-` cookie that is not `Secure`.
pub async fn no_cookie_of_the_app_takes_the_place_of_ours(kind: Kind) {
    let app = App::start().await;
    let guard = Guard::before(kind, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let nobody = guard.browser();
    for (who, path) in [(&alice, "/cookies"), (&nobody, "/open/cookies")] {
        let answer = who.visit(&guard.url(path)).await.expect(200);
        let all: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
        // The app's own are as they were.
        for own in ["first=1; Path=/", "second=2; Path=/", "linkgate=stolen; Path=/"] {
            assert!(all.contains(&own), "{own}: {all:?}");
        }
        let planted = all.iter().find(|cookie| {
            cookie.starts_with("__Host-linkgate") && cookie.contains("stolen") && cookie.contains("Secure")
        });
        assert!(planted.is_none(), "{all:?}");
    }
    // Nor may it be taken for one of linkgate's own pages, which do set them.
    let page = nobody.visit(&guard.url("/.linkgate/login")).await.expect(200);
    assert!(page.header("set-cookie").starts_with("__Host-linkgate-login="), "{:?}", page.headers);
}

/// Not every proxy can: those that do name it beside the promises.
pub async fn a_page_with_a_renewed_cookie_goes_into_no_cache(kind: Kind) {
    let app = App::start().await;
    let address = app.url();
    let guard = Guard::with(kind, address.trim_start_matches("http://"), "idle = \"1m\"").await;
    let alice = guard.signed_in(ALICE).await;
    let first = alice.cookie(HOST, SESSION);
    // The app calls this page public.
    let before = alice.visit(&guard.url("/cached")).await.expect(200);
    assert_eq!(before.header("set-cookie"), "", "a new session is not due yet");
    assert_eq!(before.header("cache-control"), "public, max-age=60", "{:?}", before.headers);
    let renewed = eventually("the session is carried on", async || {
        let answer = alice.visit(&guard.url("/cached")).await.expect(200);
        (alice.cookie(HOST, SESSION) != first).then_some(answer)
    })
    .await;
    assert!(renewed.header("cache-control").contains("private, no-store"), "{:?}", renewed.headers);
}

/// The configuration that a page gives for linkgate is good as it stands there.
pub fn linkgate_takes_the_file_of(page: &str) {
    let files = blocks(page, "toml");
    assert!(!files.is_empty());
    for file in files {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("page.toml");
        let state = format!("state_dir = \"{}\"\n", folder.path().display());
        let rest = file.lines().filter(|line| !line.starts_with("state_dir")).collect::<Vec<_>>().join("\n");
        std::fs::write(&path, state + &rest).unwrap();
        let command =
            Command::new(env!("CARGO_BIN_EXE_linkgate")).arg("--config").arg(&path).arg("check").output();
        let output = command.unwrap();
        assert!(output.status.success(), "{}\n{file}", String::from_utf8_lossy(&output.stderr));
    }
}
