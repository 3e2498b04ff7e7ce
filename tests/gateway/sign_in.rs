//! A person signs in by an e-mailed link and reaches an app that knows nothing of it.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn the_link_leads_to_the_page_first_asked_for_with_its_query() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();

    let wanted = gateway.url("/deep/page?x=1&y=a%20b&z=%2F");
    let page = gateway.sign_in(&browser, ALICE, &wanted).await;

    assert_eq!(page.url.as_str(), wanted);
    let seen = app.request("/deep/page").await;
    assert_eq!(seen.target, "/deep/page?x=1&y=a%20b&z=%2F");
    assert_eq!(seen.header("remote-user"), ALICE);
    assert_eq!(seen.header("remote-email"), ALICE);
    assert_eq!(seen.header("cookie"), "", "our cookies are no business of the app");
    assert_eq!(seen.header("linkgate-assertion").split('.').count(), 3);
    assert_eq!(app.seen().len(), 1, "nothing reached the app before the sign-in");
}

#[tokio::test]
async fn a_fragment_that_the_login_page_puts_into_return_to_comes_back() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();

    let page = gateway.login_page(&browser, &gateway.url("/list?page=2")).await;
    let wish = format!("{}#row-7", page.field("return_to"));
    let login = gateway.url("/.linkgate/login");
    browser.post_form(&login, &[("email", ALICE), ("return_to", &wish)]).await.expect(303);
    let letter = gateway.letter_to(ALICE).await;

    let there = browser.follow(&letter.link).await.expect(200);
    assert_eq!(there.url.as_str(), gateway.url("/list?page=2#row-7"));
}

#[tokio::test]
async fn after_the_sign_in_pages_pass_without_a_detour() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;

    let answer = browser.visit(&gateway.url("/again")).await.expect(200);
    assert!(answer.text().contains(ALICE));
    assert!(answer.header("cache-control").contains("private"), "{:?}", answer.headers);

    let session = browser.json("GET", &gateway.url("/.linkgate/session"), &serde_json::Value::Null).await;
    assert_eq!(session.expect(200).json()["email"], ALICE);
    let start = browser.visit(&gateway.url("/.linkgate/")).await.expect(200);
    assert!(start.text().contains(ALICE));
}

#[tokio::test]
async fn two_tabs_each_end_where_they_wanted() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();

    let first = gateway.ask(&browser, ALICE, &gateway.url("/first")).await;
    let second = gateway.ask(&browser, ALICE, &gateway.url("/second")).await;

    assert_eq!(browser.follow(&first.link).await.expect(200).url.path(), "/first");
    assert_eq!(browser.follow(&second.link).await.expect(200).url.path(), "/second");
}

#[tokio::test]
async fn a_second_click_in_the_same_browser_is_simply_sent_on() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page")).await;
    browser.follow(&letter.link).await.expect(200);
    assert_eq!(browser.follow(&letter.link).await.expect(200).url.path(), "/page");
}

#[tokio::test]
async fn a_new_sign_in_makes_a_new_session_and_ends_the_old_one() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let first = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let second = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    browser.follow(&first.link).await.expect(200);
    let old = browser.cookie("localhost", "linkgate");
    browser.follow(&second.link).await.expect(200);
    assert_ne!(browser.cookie("localhost", "linkgate"), old);

    let thief = Browser::new();
    thief.set_cookie("localhost", "linkgate", &old);
    assert!(thief.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn cookies_carry_every_guard_and_stay_small() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let answer = browser.visit(&letter.link).await;
    let set: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    let session = set.iter().find(|cookie| cookie.starts_with("linkgate=")).expect("a session cookie");
    for guard in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(session.contains(guard), "{session}");
    }
    assert!(!session.to_ascii_lowercase().contains("domain"), "{session}");
    assert!(session.split(';').next().unwrap().len() <= 500, "{} bytes", session.len());
}

#[tokio::test]
async fn known_and_unknown_people_get_the_same_answer_and_only_the_known_a_letter() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let mut pages = Vec::new();
    for email in ["nobody@elsewhere.example", "alice@example.com"] {
        let browser = Browser::new();
        let page = gateway.login_page(&browser, &gateway.url("/x")).await;
        let fields = [("email", email), ("return_to", &page.field("return_to"))];
        let answer = browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
        let shown = browser.visit(&answer.location()).await.expect(200);
        let names: Vec<String> =
            answer.headers.keys().chain(shown.headers.keys()).map(ToString::to_string).collect();
        let text = shown.text().replace(email, "ADDRESS").replace(&escaped(email), "ADDRESS");
        let plain: Vec<String> = text
            .lines()
            // A nonce and a reference differ from page to page.
            .filter(|line| !line.contains("nonce=") && !line.contains("<code>"))
            .map(str::to_owned)
            .collect();
        pages.push((answer.location(), names, plain));
    }
    assert_eq!(pages[0], pages[1]);
    // The known one's letter came second, so the unknown one's would lie there by now.
    gateway.letter_to(ALICE).await;
    assert_eq!(gateway.letters().len(), 1);
}

fn escaped(text: &str) -> String {
    text.replace('@', "&#64;")
}

#[tokio::test]
async fn the_letter_is_a_proper_letter() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let letter = gateway.ask(&Browser::new(), ALICE, &gateway.url("/secret-page")).await;

    assert_eq!(letter.from, "login@example.com");
    assert_eq!(letter.to, ALICE);
    assert!(letter.subject.starts_with("Sign in to "), "{}", letter.subject);
    let head = letter.raw.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for wanted in ["\r\ndate: ", "message-id: <", "auto-submitted: auto-generated", "multipart/alternative"] {
        assert!(format!("\r\n{head}").contains(wanted), "{wanted:?} is missing:\n{head}");
    }
    assert!(letter.link.starts_with(&gateway.url("/.linkgate/verify?token=")), "{}", letter.link);
    assert!(letter.text.lines().any(|line| line.trim() == letter.link), "the link has a line of its own");
    assert!(letter.html.contains(&letter.code) && letter.text.contains(&letter.code));
    assert_eq!(letter.code.len(), 9);
    assert!(!letter.raw.contains("secret-page"), "where one wanted to go is not in the letter");
    assert!(!letter.html.contains("<img") && !letter.html.contains("<script"), "no tracking");
    assert!(letter.text.contains("10 minutes"), "{}", letter.text);
}

#[tokio::test]
async fn page_and_letter_speak_the_language_of_the_browser() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    for (language, on_page, in_letter) in [
        ("de-CH,de;q=0.9,en;q=0.5", "Anmelden", "10 Minuten"),
        ("fr", "lang=\"fr\"", "10 minutes"),
        ("ru", "lang=\"ru\"", "10 минут"),
        ("es", "lang=\"es\"", "10 minutos"),
        ("tlh", "Sign in", "10 minutes"),
    ] {
        let browser = Browser::speaking(language);
        let page = gateway.login_page(&browser, &gateway.url("/")).await;
        assert!(page.text().contains(on_page), "{language}: {}", page.text());
        let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
        assert!(letter.text.contains(in_letter), "{language}: {}", letter.text);
    }
}

#[tokio::test]
async fn programs_get_401_with_json_that_names_the_login_address() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let program = Browser::new();
    for headers in [
        &[("accept", "application/json")][..],
        &[("accept", "*/*")],
        &[],
        &[("accept", "*/*"), ("x-requested-with", "XMLHttpRequest")],
        &[("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("content-type", "application/grpc")],
    ] {
        let answer = program.send("GET", &gateway.url("/api"), headers, Vec::new()).await.expect(401);
        assert!(!answer.header("www-authenticate").is_empty(), "{headers:?}");
        assert!(answer.header("content-type").contains("json"), "{headers:?}: {}", answer.text());
        assert!(answer.text().contains("/.linkgate/login"), "{headers:?}: {}", answer.text());
    }
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn a_form_sent_without_a_session_gets_a_page_that_says_what_happened() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let answer = browser.post_form(&gateway.url("/save"), &[("text", "hours of work")]).await;
    assert!(!answer.is_redirect(), "a silent GET would lose what was typed");
    assert!(answer.text().contains("Nothing was saved"), "{}", answer.text());
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn own_pages_carry_every_guard() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let page = gateway.login_page(&browser, &gateway.url("/")).await;
    let policy = page.header("content-security-policy");
    for wanted in ["default-src 'none'", "'nonce-", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(wanted), "{wanted}: {policy}");
    }
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    assert!(page.header("cache-control").contains("no-store"));
    assert_eq!(page.header("referrer-policy"), "strict-origin");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn invited_only_means_that_nobody_gets_a_letter_by_asking() {
    let app = App::start().await;
    let gateway = Gateway::start(&format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{}\"\n\
         allow = [\"{ALICE}\"]\nsign_in = \"invited\"\n",
        app.url()
    ))
    .await;
    let browser = Browser::new();
    let page = gateway.login_page(&browser, &gateway.url("/")).await;
    assert!(page.text().contains("invited"), "{}", page.text());
    browser.post_form(&gateway.url("/.linkgate/login"), &[("email", ALICE)]).await.expect(303);

    // A link made by hand is another matter; its way in needs no letter.
    let made = gateway.run(&["link", "create", ALICE, "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let page = browser.follow(made["link"].as_str().unwrap()).await.expect(200);
    let token = page.field("token");
    let fields = [("token", token.as_str()), ("email", ALICE)];
    browser.post_form(&gateway.url("/.linkgate/verify"), &fields).await.expect(303);
    browser.visit(&gateway.url("/")).await.expect(200);
    assert!(gateway.letters().is_empty());
}

#[tokio::test]
async fn who_is_on_no_list_gets_no_letter_even_when_another_site_lists_them() {
    let app = App::start().await;
    let gateway = Gateway::start(&format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{0}\"\nallow = [\"bob@example.com\"]\n\
         [[site]]\nname = \"open\"\nurl = \"http://open.localhost:@PORT@\"\nupstream = \"{0}\"\nallow = [\"{ALICE}\"]\n",
        app.url()
    ))
    .await;
    let browser = Browser::new();
    let page = gateway.login_page(&browser, &gateway.url("/")).await;
    let fields = [("email", ALICE), ("return_to", &page.field("return_to"))];
    browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
    // Letters go out in order: one that is asked for later would come after it.
    let open = format!("http://open.localhost:{}/", gateway.place.port);
    let letter = gateway.ask(&Browser::new(), ALICE, &open).await;
    assert!(letter.link.starts_with("http://open.localhost"), "{}", letter.link);
    assert_eq!(gateway.letters().len(), 1);
}

#[tokio::test]
async fn an_empty_allow_list_is_an_error_that_names_line_and_cure() {
    let place = Place::new();
    place.write_config(&format!(
        "{HEAD}[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"http://127.0.0.1:1\"\nallow = []\n"
    ));
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_linkgate"))
        .arg("serve")
        .arg("--config")
        .arg(place.config())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("config.toml:") && said.contains("allow = ["), "{said}");
}

#[tokio::test]
async fn who_is_signed_in_but_not_allowed_there_gets_403_and_a_way_on() {
    let app = App::start().await;
    let gateway = Gateway::start(&format!(
        r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["@example.com"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{}"
[[site.app.route]]
path = "/admin"
allow = ["bob@example.com"]
[[site.app.route]]
path = "/open/"
access = "public"
"#,
        app.url()
    ))
    .await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    let answer = browser.visit(&gateway.url("/admin/keys")).await.expect(403);
    assert!(
        answer.text().contains(ALICE) && answer.text().contains("/.linkgate/logout"),
        "{}",
        answer.text()
    );
    for odd in ["/x/..%2fadmin", "//admin", "/./admin", "/admin%2f", "/x;/admin", "/%2e/admin"] {
        let status = browser.visit(&gateway.url(odd)).await.status;
        assert!(matches!(status, 400 | 403), "{odd}: {status}");
    }
    assert!(!app.seen().iter().any(|seen| seen.target.contains("admin")), "{:?}", app.seen());

    // On a public route a person is named only where the person may be.
    let nobody = Browser::new();
    nobody.visit(&gateway.url("/open/x")).await.expect(200);
    let seen = app.request("/open/x").await;
    assert_eq!(seen.all("remote-user"), [""], "set, and empty");
    assert!(nobody.visit(&gateway.url("/openly")).await.is_redirect(), "a rule ends at a segment's border");
}

#[tokio::test]
async fn what_the_app_may_not_say_is_taken_out_of_its_answer() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    let before = browser.cookie("localhost", "linkgate");

    let answer = browser.visit(&gateway.url("/cookies")).await.expect(200);
    let set = answer.header("set-cookie");
    assert!(set.contains("first=1") && set.contains("second=2"), "{set}");
    assert!(!set.contains("stolen"), "{set}");
    assert_eq!(browser.cookie("localhost", "linkgate"), before);

    let answer = browser.visit(&gateway.url("/headers")).await.expect(200);
    for name in ["alt-svc", "nel", "report-to", "reporting-endpoints"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert!(!answer.header("clear-site-data").contains("cookies"));
    assert_eq!(answer.header("x-app"), "kept");
    // The app's own cookies go on to the app, ours do not.
    browser.visit(&gateway.url("/after")).await.expect(200);
    assert_eq!(app.request("/after").await.header("cookie"), "first=1; second=2");
}

#[tokio::test]
async fn an_app_that_is_down_gets_a_502_page_for_people_and_json_for_programs() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    drop(app);
    let page = browser.visit(&gateway.url("/gone")).await.expect(502);
    assert!(page.text().contains("<html"), "{}", page.text());
    let json = browser.json("GET", &gateway.url("/gone"), &serde_json::Value::Null).await.expect(502);
    assert!(json.header("content-type").starts_with("application/problem+json"), "{:?}", json.headers);
}

#[tokio::test]
async fn an_unknown_host_gets_421_with_the_line_to_add() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let url = format!("http://stranger.localhost:{}/", gateway.place.port);
    let answer = Browser::new().visit(&url).await.expect(421);
    assert!(answer.text().contains("[[site]]"), "{}", answer.text());
}
