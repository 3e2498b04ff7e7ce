//! What a route changes on the way: the path's beginning, header fields, the app's own account, caching. Each promise of
//! docs/apps.md, and what would break it.

use crate::harness::app::App;
use crate::harness::app::Seen;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::raw::exchange;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@example.com";
/// `aladdin:open sesame`, the pair of RFC 7617.
const ACCOUNT: &str = "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==";

fn config(app: &App) -> String {
    format!(
        r#"{HEAD}
[[user]]
email = "{ALICE}"
attributes = {{ php = "aladdin" }}
[[user]]
email = "{CAROL}"
attributes = {{ php = "aladdin:open" }}
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["{ALICE}", "{BOB}", "{CAROL}"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{0}"
set_request_headers = {{ X-App-Key = "k3y-of-the-app", Accept-Language = "" }}
set_response_headers = {{ Server = "", X-Frame-Options = "DENY" }}
[[site.app.route]]
path = "/notebooks/"
strip_prefix = "/notebooks"
[[site.app.route]]
path = "/Shop/"
strip_prefix = "/shop"
ignore_case = true
[[site.app.route]]
path = "/php/"
basic = {{ user = "{{attributes.php}}", password_file = "php.password" }}
[[site.app.route]]
path = "/open/"
access = "public"
basic = {{ user = "{{attributes.php}}", password_file = "php.password" }}
[[site.app.route]]
path = "/shared/"
cache = "app"
"#,
        app.url()
    )
}

async fn start(app: &App) -> Gateway {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let file = place.path().join("php.password");
    std::fs::write(&file, "open sesame\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Gateway::start_with(place, &config(app)).await
}

async fn signed_in(gateway: &Gateway, who: &str) -> Browser {
    let browser = Browser::new();
    gateway.sign_in(&browser, who, &gateway.url("/")).await;
    browser
}

/// Asks for a path byte for byte, as no browser would; the status.
async fn ask(gateway: &Gateway, browser: &Browser, target: &str, more: &str) -> u16 {
    let (port, cookies) = (gateway.place.port, browser.cookies("localhost"));
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookies}\r\n{more}Connection: close\r\n\r\n"
    );
    let answer = exchange(port, request.as_bytes()).await;
    if answer.status != 200 {
        eprintln!("{target}: {answer:?}");
    }
    answer.status
}

/// What the app saw of the only request since it last forgot.
fn only(app: &App) -> Seen {
    let mut seen = app.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    app.forget();
    seen.remove(0)
}

#[tokio::test]
async fn a_prefix_is_taken_off_on_a_segment_border_and_the_rest_stays_as_sent() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    app.forget();
    for (asked, sent) in [
        ("/notebooks/a/b?x=%2F&y=/notebooks/", "/a/b?x=%2F&y=/notebooks/"),
        ("/notebooks/", "/"),
        ("/notebooks", "/"),
        ("/notebooks?", "/?"),
        ("/notebooks?x=1", "/?x=1"),
        ("/notebooks/?//x", "/?//x"),
        // However its letters are spelled, it is the same path, and the rest is not respelled.
        ("/%6eoteb%6F%6fks/%61%20b", "/%61%20b"),
        ("/notebooks/notebooks/x", "/notebooks/x"),
        ("/Shop/A", "/A"),
        ("/sHOP/%41/b", "/%41/b"),
    ] {
        assert_eq!(
            ask(&gateway, &alice, asked, "X-Forwarded-Prefix: /eve\r\nX_Forwarded_Prefix: /eve\r\n").await,
            200
        );
        let seen = only(&app);
        assert_eq!(seen.target, sent, "{asked}");
        let prefix = if asked.to_ascii_lowercase().contains("shop") { "/shop" } else { "/notebooks" };
        assert_eq!(seen.header("x-forwarded-prefix"), prefix, "{asked}");
        assert!(!format!("{seen:?}").contains("eve"), "{seen:?}");
    }
}

#[tokio::test]
async fn what_only_begins_like_a_prefix_keeps_its_path_and_is_told_of_none() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    app.forget();
    for asked in
        ["/notebooksx/a", "/notebook/", "/Notebooks/a", "/x/notebooks/a", "/x?/notebooks/", "/x//y", "/x%2Fy"]
    {
        assert_eq!(
            ask(&gateway, &alice, asked, "X-Forwarded-Prefix: /eve\r\nX.Forwarded.Prefix: /eve\r\n").await,
            200
        );
        let seen = only(&app);
        assert_eq!(seen.target, asked);
        assert!(
            !format!("{seen:?}").contains("eve") && seen.header("x-forwarded-prefix").is_empty(),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn a_path_that_might_lie_below_a_prefix_reaches_no_app() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    app.forget();
    for odd in [
        "/notebooks//x",
        "//notebooks/x",
        "/notebooks/../x",
        "/notebooks/./x",
        "/x/../notebooks/a",
        "/notebooks%2Fx",
        "/notebooks%2fx/../y",
        "/notebooks/a%2Fb",
        "/notebooks/%2e%2e/x",
        "/x/%2e%2e/notebooks/a",
        "/notebooks;v=1/x",
        "/notebooks\\x",
        "/NOTEBOOKS%2Fx",
        "/%2Fnotebooks/x",
        "/x/..%2fnotebooks/a",
        "/notebooks%252Fx",
        "/shop%5Cx",
    ] {
        assert_eq!(ask(&gateway, &alice, odd, "").await, 400, "{odd}");
        assert!(app.seen().is_empty(), "{odd}: {:?}", app.seen());
    }
}

#[tokio::test]
async fn headers_for_the_app_are_the_configurations_word_and_never_the_visitors() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    app.forget();
    let spoofed = "X-App-Key: eve\r\nX_App_Key: eve\r\nX.App.Key: eve\r\nAccept_Language: eve\r\nAccept-Language: eve\r\n\
                   X-Other: kept\r\n";
    assert_eq!(ask(&gateway, &alice, "/a", spoofed).await, 200);
    let seen = only(&app);
    assert_eq!(seen.all("x-app-key"), ["k3y-of-the-app"]);
    assert!(!format!("{seen:?}").contains("eve") && seen.all("accept-language").is_empty(), "{seen:?}");
    assert_eq!((seen.header("x-other"), seen.header("remote-user")), ("kept".into(), ALICE.into()));
    // Nor behind a body.
    let cookies = alice.cookies("localhost");
    let request = format!(
        "POST /t HTTP/1.1\r\nHost: localhost:{0}\r\nCookie: {cookies}\r\nTE: trailers\r\nTrailer: X_App_Key, X-Late\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\nX_App_Key: eve\r\nX-Late: kept\r\n\r\n",
        gateway.place.port
    );
    assert_eq!(exchange(gateway.place.port, request.as_bytes()).await.status, 200);
    let seen = only(&app);
    assert_eq!(seen.trailers.join("\n").to_ascii_lowercase(), "x-late: kept", "{seen:?}");
    assert!(!gateway.log().contains("k3y-of-the-app"));
}

#[tokio::test]
async fn headers_for_the_visitor_replace_and_remove_those_of_the_app() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    let answer = alice.visit(&gateway.url("/cached")).await.expect(200);
    assert_eq!(answer.headers.get_all("x-frame-options").iter().collect::<Vec<_>>(), ["DENY"]);
    assert!(!answer.headers.contains_key("server"), "{:?}", answer.headers);
    assert!(!answer.body.is_empty(), "the answer is framed as before");
}

#[tokio::test]
async fn the_apps_own_account_is_sent_for_who_is_let_in_by_name() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    app.forget();
    for (more, path) in [
        ("", "/php/a"),
        ("Authorization: Basic ZXZlOmV2ZQ==\r\n", "/php/b"),
        ("Authorization: Basic ZXZlOmV2ZQ==\r\nAuthorization: Bearer ZXZlOmV2ZQ\r\n", "/php/c"),
        // On a public route too, where the person is known.
        ("", "/open/a"),
    ] {
        assert_eq!(ask(&gateway, &alice, path, more).await, 200);
        assert_eq!(only(&app).all("authorization"), [ACCOUNT], "{path}");
    }
    assert_eq!(ask(&gateway, &alice, "/a", "").await, 200);
    assert!(only(&app).all("authorization").is_empty(), "only where the route says so");

    // Nobody is named: nobody's account is used, and what visitors know of the app is theirs.
    let stranger = Browser::new();
    assert_eq!(ask(&gateway, &stranger, "/open/b", "").await, 200);
    assert!(only(&app).all("authorization").is_empty());
    assert_eq!(ask(&gateway, &stranger, "/open/c", "Authorization: Basic ZXZlOmV2ZQ==\r\n").await, 200);
    assert_eq!(only(&app).all("authorization"), ["Basic ZXZlOmV2ZQ=="]);
}

#[tokio::test]
async fn who_has_no_account_in_the_app_comes_without_one() {
    let app = App::start().await;
    let gateway = start(&app).await;
    // Bob has no such attribute; a colon in Carol's would move the border to the password.
    for who in [BOB, CAROL] {
        let browser = signed_in(&gateway, who).await;
        app.forget();
        assert_eq!(ask(&gateway, &browser, "/php/x", "Authorization: Basic ZXZlOmV2ZQ==\r\n").await, 200);
        let seen = only(&app);
        assert!(seen.all("authorization").is_empty(), "{who}: {seen:?}");
        assert_eq!(seen.header("remote-user"), who);
    }
}

#[tokio::test]
async fn the_password_of_an_account_is_said_nowhere() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    assert_eq!(ask(&gateway, &alice, "/php/a", "").await, 200);
    let url = format!("GET {}", gateway.url("/php/a"));
    let explained = gateway.run(&["explain", ALICE, &url]).await;
    assert!(explained.contains("aladdin") && explained.contains(&app.url()), "{explained}");
    let stripped = gateway.run(&["explain", ALICE, &format!("GET {}", gateway.url("/notebooks/a?b"))]).await;
    assert!(stripped.contains("sent as   /a?b"), "{stripped}");
    let odd = gateway.run(&["explain", ALICE, &format!("GET {}", gateway.url("/notebooks/a%2Fb"))]).await;
    assert!(odd.contains("sent as   nothing:"), "{odd}");
    let checked = gateway.command(&["check"]).await;
    for said in [
        explained,
        stripped,
        String::from_utf8(checked.stdout).unwrap(),
        String::from_utf8(checked.stderr).unwrap(),
        gateway.log(),
    ] {
        for secret in ["sesame", ACCOUNT, ACCOUNT.trim_start_matches("Basic "), "k3y-of-the-app"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

#[tokio::test]
async fn answers_to_the_signed_in_are_private_unless_the_route_leaves_it_to_the_app() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    let said = async |path: &str| {
        alice.send("GET", &gateway.url(path), &[], Vec::new()).await.header("cache-control")
    };
    assert_eq!(said("/cached").await, "private, max-age=60");
    assert_eq!(said("/shared/cached").await, "public, max-age=60");
    assert_eq!(said("/shared/x").await, "", "the app said nothing");
}

#[tokio::test]
async fn a_reload_changes_what_is_changed_on_the_way_but_not_who_speaks_the_proxy_protocol() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = signed_in(&gateway, ALICE).await;
    let reload = async |text: String, says: &str| {
        gateway.place.write_config(&text);
        gateway.signal("HUP");
        eventually(&format!("the log says {says:?}"), async || gateway.log().contains(says).then_some(()))
            .await;
    };
    reload(config(&app).replace("k3y-of-the-app", "another-key"), " reloaded").await;
    app.forget();
    assert_eq!(ask(&gateway, &alice, "/a", "").await, 200);
    assert_eq!(only(&app).all("x-app-key"), ["another-key"]);
    let proxied = format!("proxy_protocol = [\"192.0.2.1\"]\n{}", config(&app));
    reload(proxied, "proxy_protocol has changed: restart linkgate").await;
}
