//! `/check/forward` and `/check/envoy/…`: what Caddy, Traefik, HAProxy, Apache and Envoy ask before they pass a request
//! on by themselves, and whose answer they show the visitor. Nothing but a yes is a 2xx.

use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::browser::NAVIGATION;
use crate::harness::browser::try_fetch;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const IDENTITY: [&str; 5] =
    ["remote-user", "remote-email", "remote-name", "remote-groups", "linkgate-assertion"];

/// One site on two hosts, of which the proxy in front knows the apps.
const SITES: &str = r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["alice@example.com", "bob@example.com"]
[[site.user]]
email = "alice@example.com"
name = "Alice"
[[site.app]]
host = "localhost"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/staff/"
allow = ["alice@example.com"]
[[site.app.route]]
path = "= /bye"
access = "sign-out"
[[site.app.route]]
path = "/api/"
methods = ["OPTIONS"]
access = "public"
[[site.app.route]]
path = "/old/"
identity = { X_Person = "{email}", "X-Auth-Request-User" = "{user}" }
[[site.app.route]]
path = "/ours/"
upstream = "http://127.0.0.1:1"
[[site.app]]
host = "photos.localhost"
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Forward,
    Envoy,
}

const BOTH: [Dialect; 2] = [Dialect::Forward, Dialect::Envoy];

async fn start() -> Gateway {
    trusting("[\"127.0.0.1\"]").await
}

async fn trusting(peers: &str) -> Gateway {
    Gateway::start_with(Place::new(), &format!("trusted_proxies = {peers}\n{HEAD}{SITES}")).await
}

/// As a proxy of this dialect asks about `METHOD http://HOST:PORT/path`, with the visitor's own headers beside.
async fn ask(
    gateway: &Gateway,
    dialect: Dialect,
    who: &Browser,
    asked: (&str, &str, &str),
    own: &[(&str, &str)],
) -> Answer {
    let (method, host, path) = asked;
    let (port, cookies) = (gateway.place.port, who.cookies(host));
    let authority = format!("{host}:{port}");
    let mut headers = vec![("x-forwarded-proto", "http"), ("x-forwarded-for", "203.0.113.9")];
    if !cookies.is_empty() {
        headers.push(("cookie", &cookies));
    }
    headers.extend(own);
    let answer = match dialect {
        Dialect::Forward => {
            let more =
                [("x-forwarded-method", method), ("x-forwarded-host", &authority), ("x-forwarded-uri", path)];
            headers.extend(more);
            // Caddy appends the visitor's query: it is not ours.
            let url = format!("http://127.0.0.1:{port}/.linkgate/check/forward?x=/open/");
            try_fetch(None, "GET", &url, &headers, Vec::new()).await
        }
        Dialect::Envoy => {
            let url = format!("http://{authority}/.linkgate/check/envoy{path}");
            try_fetch(None, method, &url, &headers, Vec::new()).await
        }
    };
    let answer = answer.unwrap();
    let sent = answer.headers.get_all("set-cookie").iter().count();
    assert!(sent <= 1, "nginx passes one cookie on, and {sent} came");
    answer
}

async fn signed_in(gateway: &Gateway, email: &str) -> Browser {
    let browser = Browser::new();
    gateway.sign_in(&browser, email, &gateway.url("/.linkgate/")).await;
    browser
}

#[tokio::test]
async fn who_is_signed_in_passes_with_every_identity_header_and_the_apps_own_credentials() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    alice.set_cookie("localhost", "theme", "dark");
    for dialect in BOTH {
        let basic = [("authorization", "Basic YTpi")];
        let yes = ask(&gateway, dialect, &alice, ("GET", "localhost", "/page?x=1"), &basic).await.expect(200);
        assert_eq!(yes.header("remote-user"), ALICE);
        assert_eq!(yes.header("remote-name"), "Alice");
        assert_eq!(yes.headers.get("remote-groups").expect("set, though empty"), "");
        assert_eq!(yes.header("linkgate-assertion").split('.').count(), 3);
        assert_eq!(yes.header("cookie"), "theme=dark", "the app's own");
        assert_eq!(yes.header("authorization"), "Basic YTpi", "the app's own");
        assert!(yes.body.is_empty());
        assert_eq!(yes.header("cache-control"), "no-store");

        let open = ask(&gateway, dialect, &Browser::new(), ("GET", "localhost", "/open/x"), &[]).await;
        let open = open.expect(200);
        for name in IDENTITY {
            assert_eq!(open.headers.get(name).unwrap_or_else(|| panic!("{name} is missing")), "", "{name}");
        }
        assert!(!open.headers.contains_key("cookie") && !open.headers.contains_key("authorization"));
        let token = format!("Bearer {}", alice.cookie("localhost", "linkgate"));
        let own = [("authorization", token.as_str())];
        let by_token = ask(&gateway, dialect, &Browser::new(), ("GET", "localhost", "/page"), &own).await;
        let by_token = by_token.expect(200);
        assert_eq!(by_token.header("remote-user"), ALICE);
        assert_eq!(by_token.headers.get("authorization").expect("ours is not the app's"), "");
        let session = alice.cookie("localhost", "linkgate");
        let lone = Browser::new();
        lone.set_cookie("localhost", "linkgate", &session);
        let lone = ask(&gateway, dialect, &lone, ("GET", "localhost", "/page"), &[]).await.expect(200);
        assert_eq!(lone.headers.get("cookie").expect("ours is not the app's"), "");
    }
}

#[tokio::test]
async fn a_yes_holds_every_name_of_the_app_and_no_credential_where_linkgate_itself_forwards() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    alice.set_cookie("localhost", "theme", "dark");
    for dialect in BOTH {
        let old = ask(&gateway, dialect, &alice, ("GET", "localhost", "/old/x"), &[]).await.expect(200);
        assert_eq!(
            (old.header("x_person").as_str(), old.header("x-auth-request-user").as_str()),
            (ALICE, ALICE)
        );
        for name in IDENTITY.iter().filter(|name| name.starts_with("remote-")) {
            assert_eq!(old.headers.get(*name).unwrap_or_else(|| panic!("{name} is missing")), "", "{name}");
        }
        let page = ask(&gateway, dialect, &alice, ("GET", "localhost", "/page"), &[]).await.expect(200);
        assert_eq!(page.header("remote-email"), ALICE);
        assert_eq!(page.headers.get("x_person").expect("of another route"), "");
        assert_eq!(page.header("cookie"), "theme=dark");
        let ours = ask(&gateway, dialect, &alice, ("GET", "localhost", "/ours/x"), &[]).await.expect(200);
        assert_eq!((ours.header("remote-email").as_str(), ours.headers.get("cookie")), (ALICE, None));
    }
}

#[tokio::test]
async fn people_are_led_to_the_sign_in_page_and_back_and_programs_get_401() {
    let gateway = start().await;
    let nobody = Browser::new();
    for dialect in BOTH {
        for host in ["localhost", "photos.localhost"] {
            let page = ask(&gateway, dialect, &nobody, ("GET", host, "/a?b=%2F&c=1"), NAVIGATION).await;
            let page = page.expect(303);
            let wanted = format!("/.linkgate/login?return_to=http%3A%2F%2F{host}%3A{}", gateway.place.port);
            let there = page.header("location");
            assert!(there.starts_with(&gateway.url(&wanted)), "{there}");
            assert!(there.contains("%2Fa%3Fb%3D%252F%26c%3D1"), "{there}");
            // Another host needs its own nonce for the way back.
            assert_eq!(there.contains("host_nonce="), host != "localhost");
            assert_eq!(page.header("set-cookie").contains("linkgate-login="), host != "localhost");
            let json = [("accept", "application/json")];
            for method in ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"] {
                let no = ask(&gateway, dialect, &nobody, (method, host, "/a"), &json).await.expect(401);
                assert_eq!(no.json()["type"], "urn:linkgate:problem:not-signed-in");
                assert!(no.header("www-authenticate").starts_with("Bearer"));
            }
            let lost = ask(&gateway, dialect, &nobody, ("POST", host, "/a"), NAVIGATION).await.expect(401);
            assert!(lost.text().contains("/.linkgate/login"), "{}", lost.text());
        }
        // A rule may let preflights pass, which browsers send without credentials.
        ask(&gateway, dialect, &nobody, ("OPTIONS", "localhost", "/api/x"), &[]).await.expect(200);
        ask(&gateway, dialect, &nobody, ("GET", "localhost", "/api/x"), &[]).await.expect(401);
    }
}

#[tokio::test]
async fn a_person_without_rights_gets_403_and_leaves_by_the_apps_own_address() {
    let gateway = start().await;
    let bob = signed_in(&gateway, BOB).await;
    for dialect in BOTH {
        let no = ask(&gateway, dialect, &bob, ("GET", "localhost", "/staff/x"), NAVIGATION).await;
        assert!(no.clone().expect(403).text().contains(BOB), "{}", no.text());
        let json = ask(&gateway, dialect, &bob, ("GET", "localhost", "/staff/x"), &[]).await.expect(403);
        assert_eq!(json.json()["type"], "urn:linkgate:problem:not-allowed");
        let bye = ask(&gateway, dialect, &bob, ("GET", "localhost", "/bye"), NAVIGATION).await.expect(303);
        assert_eq!(bye.header("location"), gateway.url("/.linkgate/logout"), "in full");
    }
}

/// The original `/enter` with a ticket for `photos.localhost`, of this browser.
async fn ticket(gateway: &Gateway, dialect: Dialect, browser: &Browser) -> String {
    let asked = ("GET", "photos.localhost", "/album?n=1");
    let away = ask(gateway, dialect, browser, asked, NAVIGATION).await.expect(303);
    keep(browser, &away);
    let enter = browser.visit(&away.header("location")).await.expect(303).header("location");
    let start = format!("http://photos.localhost:{}", gateway.place.port);
    enter.strip_prefix(&start).unwrap_or_else(|| panic!("{enter}")).to_owned()
}

/// What the proxy passes on to the browser.
fn keep(browser: &Browser, answer: &Answer) {
    let cookie = answer.header("set-cookie");
    let (name, rest) = cookie.split_once('=').unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    browser.set_cookie("photos.localhost", name, rest.split(';').next().unwrap());
}

#[tokio::test]
async fn one_sign_in_opens_a_second_host_of_which_only_checks_arrive() {
    let gateway = start().await;
    for dialect in BOTH {
        let alice = signed_in(&gateway, ALICE).await;
        let enter = ticket(&gateway, dialect, &alice).await;
        assert!(enter.starts_with("/.linkgate/enter?ticket="), "{enter}");
        // A script, a frame or a program is not let in by it, and above all not let pass.
        for own in [
            &[][..],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            let no = ask(&gateway, dialect, &alice, ("GET", "photos.localhost", &enter), own).await;
            assert_eq!((no.status, no.header("set-cookie")), (403, String::new()), "{own:?}");
        }
        for method in ["POST", "HEAD"] {
            let no = ask(&gateway, dialect, &alice, (method, "photos.localhost", &enter), NAVIGATION).await;
            assert_eq!(no.status, 403, "{method}");
        }
        let entered = ask(&gateway, dialect, &alice, ("GET", "photos.localhost", &enter), NAVIGATION).await;
        let entered = entered.expect(303);
        let album = format!("http://photos.localhost:{}/album?n=1", gateway.place.port);
        assert_eq!(entered.header("location"), album);
        keep(&alice, &entered);
        let yes = ask(&gateway, dialect, &alice, ("GET", "photos.localhost", "/album?n=1"), &[]).await;
        assert_eq!(yes.expect(200).header("remote-email"), ALICE);
        // Once.
        let thief = Browser::new();
        let again = ask(&gateway, dialect, &thief, ("GET", "photos.localhost", &enter), NAVIGATION).await;
        assert!(again.status >= 300 && again.header("set-cookie").is_empty(), "{again:?}");
    }
}

#[tokio::test]
async fn other_pages_of_ours_are_on_the_sign_in_host_and_never_a_yes() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    for dialect in BOTH {
        for (page, there) in [("/.linkgate/", "/.linkgate/"), ("/.linkgate/logout?x", "/.linkgate/logout")] {
            let away = ask(&gateway, dialect, &alice, ("GET", "photos.localhost", page), NAVIGATION).await;
            assert_eq!(away.expect(303).header("location"), gateway.url(there));
        }
        let login = "/.linkgate/login?return_to=http://evil.example/";
        let away = ask(&gateway, dialect, &alice, ("GET", "photos.localhost", login), NAVIGATION).await;
        let there = away.expect(303).header("location");
        assert!(there.starts_with(&gateway.url("/.linkgate/login?")) && !there.contains("evil"), "{there}");
        for host in ["localhost", "photos.localhost"] {
            for path in [
                "/.linkgate/session",
                "/.linkgate/assets/style.css",
                "/.linkgate/jwks.json",
                "/.linkgate/check/forward",
                "/.linkgate/check/nginx",
                "/.linkgate/verify?token=x",
                "/.Linkgate/enter?ticket=x",
                "/%2elinkgate/login",
                "//.linkgate/login",
            ] {
                let no = ask(&gateway, dialect, &alice, ("GET", host, path), NAVIGATION).await;
                assert_eq!((no.status, no.header("linkgate-assertion")), (403, String::new()), "{path}");
            }
        }
        // On the host where people sign in, a redirect there would come straight back.
        for path in ["/.linkgate/", "/.linkgate/login", "/.linkgate/enter?ticket=x"] {
            let no = ask(&gateway, dialect, &alice, ("GET", "localhost", path), NAVIGATION).await;
            assert_eq!(no.status, 403, "{path}");
        }
    }
    assert!(gateway.log().contains("a route of /.linkgate/ on that host to linkgate"), "{}", gateway.log());
}

#[tokio::test]
async fn what_is_missing_doubled_or_said_by_a_stranger_is_refused_and_complained_of_once() {
    let gateway = start().await;
    let port = gateway.place.port;
    let authority = format!("localhost:{port}");
    let url = format!("http://127.0.0.1:{port}/.linkgate/check/forward");
    let whole = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", authority.as_str()),
        ("x-forwarded-uri", "/open/x"),
    ];
    let fetch = async |url: &str, headers: &[(&str, &str)]| {
        try_fetch(None, "GET", url, headers, Vec::new()).await.unwrap().status
    };
    assert_eq!(fetch(&url, &whole).await, 200);
    for _ in 0..3 {
        for (number, (name, _)) in whole.iter().enumerate() {
            let mut without = whole.to_vec();
            without.remove(number);
            assert_eq!(fetch(&url, &without).await, 403, "without {name}");
            let mut twice = whole.to_vec();
            twice.push(whole[number]);
            assert_eq!(fetch(&url, &twice).await, 403, "{name} twice");
            without.push((name, ""));
            assert_eq!(fetch(&url, &without).await, 403, "{name} empty");
        }
    }
    for line in ["{method}", "{scheme}", "{hostport}", "{uri}"] {
        let said =
            gateway.log().lines().filter(|text| text.contains("header_up") && text.contains(line)).count();
        assert_eq!(said, 1, "{line}: {}", gateway.log());
    }
    let envoy = gateway.url("/.linkgate/check/envoy/open/x");
    assert_eq!(fetch(&envoy, &[("x-forwarded-proto", "http")]).await, 200);
    assert_eq!(fetch(&envoy, &[]).await, 403);
    assert_eq!(fetch(&envoy, &[("x-forwarded-proto", "http"), ("x-forwarded-proto", "http")]).await, 403);

    // Whoever is not named is refused, whatever is said; `check` would not have let such a file pass.
    let stranger = trusting("[\"192.0.2.1\"]").await;
    let theirs = format!("http://127.0.0.1:{}/.linkgate/check/forward", stranger.place.port);
    for _ in 0..3 {
        assert_eq!(fetch(&theirs, &whole).await, 403);
        let envoy = stranger.url("/.linkgate/check/envoy/open/x");
        assert_eq!(fetch(&envoy, &[("x-forwarded-proto", "http")]).await, 403);
    }
    assert_eq!(stranger.log().matches("trusted_proxies = [\"127.0.0.1\"]").count(), 1, "{}", stranger.log());
}

#[tokio::test]
async fn a_name_that_apps_may_take_for_one_of_ours_is_refused_in_strange_spellings() {
    let gateway = start().await;
    let alice = signed_in(&gateway, ALICE).await;
    for dialect in BOTH {
        for (name, status) in [
            ("remote_user", 400),
            ("remote.user", 400),
            ("x_forwarded-user", 400),
            ("linkgate~assertion", 400),
            ("x_original_url", 400),
            // Told by its own name, the other proxy takes it out, or sets it.
            ("remote-user", 200),
            ("x-original-url", 200),
            ("my_own", 200),
        ] {
            for path in ["/page", "/open/x"] {
                let asked = ("GET", "localhost", path);
                let answer = ask(&gateway, dialect, &alice, asked, &[(name, "root")]).await;
                assert_eq!(answer.status, status, "{name}");
                assert!(!answer.headers.values().any(|value| value == "root"), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_carried_on_by_navigations_and_by_nothing_else() {
    let config = format!("trusted_proxies = [\"127.0.0.1\"]\n{HEAD}[session]\nidle = \"1m\"\n{SITES}");
    let gateway = Gateway::start_with(Place::new(), &config).await;
    let alice = signed_in(&gateway, ALICE).await;
    let port = gateway.place.port;
    let (original, cookies) = (gateway.url("/page"), alice.cookies("localhost"));
    let mut nginx =
        vec![("x-original-url", original.as_str()), ("x-original-method", "GET"), ("cookie", &cookies)];
    nginx.push(("x-forwarded-host", "localhost"));
    nginx.extend(NAVIGATION);
    // A tenth of the idle time has to go by.
    crate::harness::eventually("the session is carried on", async || {
        let url = format!("http://127.0.0.1:{port}/.linkgate/check/nginx");
        let yes = try_fetch(None, "GET", &url, &nginx, Vec::new()).await.unwrap().expect(200);
        let renewed = yes.header("set-cookie");
        renewed.starts_with("linkgate=").then(|| assert_eq!(yes.header("cache-control"), "private, no-store"))
    })
    .await;
    for dialect in BOTH {
        let page = ("GET", "localhost", "/page");
        let yes = ask(&gateway, dialect, &alice, page, NAVIGATION).await.expect(200);
        assert!(yes.header("set-cookie").starts_with("linkgate="), "{yes:?}");
        for (asked, own) in [
            (page, &[][..]),
            (("POST", "localhost", "/page"), NAVIGATION),
            (page, &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
        ] {
            let yes = ask(&gateway, dialect, &alice, asked, own).await.expect(200);
            assert_eq!(yes.header("set-cookie"), "", "{asked:?} {own:?}");
        }
    }
}
