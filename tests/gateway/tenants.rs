//! Several sites are several tenants: what one gave out is worth nothing to another, even for the same person.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

async fn start(app: &App) -> Gateway {
    Gateway::start(&format!(
        r#"
[[site]]
name = "one"
url = "http://localhost:@PORT@"
upstream = "{0}"
allow = ["{ALICE}"]
[[site]]
name = "two"
url = "http://two.localhost:@PORT@"
upstream = "{0}"
allow = ["{ALICE}", "bob@example.com"]
"#,
        app.url()
    ))
    .await
}

fn two(gateway: &Gateway, path: &str) -> String {
    format!("http://two.localhost:{}{path}", gateway.place.port)
}

#[tokio::test]
async fn a_session_of_one_site_never_serves_another() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    let token = browser.cookie("localhost", "linkgate");
    browser.set_cookie("two.localhost", "linkgate", &token);
    assert!(browser.visit(&two(&gateway, "/")).await.is_redirect());
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json")];
    assert_eq!(Browser::new().send("GET", &two(&gateway, "/"), &headers, Vec::new()).await.status, 401);
}

#[tokio::test]
async fn who_is_put_out_of_one_site_is_not_put_out_of_another_and_links_stay_good() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&browser, ALICE, &two(&gateway, "/")).await;
    let made = ["link", "create", ALICE, "--site", "two", "--expires", "30m"];
    gateway.run(&made).await;
    let ended = gateway.run(&["session", "revoke", "--email", ALICE, "--site", "two"]).await;
    assert_eq!(ended, "1 ended\n");
    eventually("out of two", async || browser.visit(&two(&gateway, "/")).await.is_redirect().then_some(()))
        .await;
    browser.visit(&gateway.url("/")).await.expect(200);
    let links = gateway.run(&["link", "list", "--state", "active", "--json"]).await;
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    assert_eq!(links.as_array().unwrap().len(), 1);
    // Without a site: of every site.
    gateway.sign_in(&browser, ALICE, &two(&gateway, "/")).await;
    assert_eq!(gateway.run(&["session", "revoke", "--email", ALICE]).await, "2 ended\n");
    for url in [gateway.url("/"), two(&gateway, "/")] {
        eventually("out", async || browser.visit(&url).await.is_redirect().then_some(())).await;
    }
}

#[tokio::test]
async fn a_link_of_one_site_never_serves_another_and_is_not_spent_there() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page")).await;
    let moved = letter.link.replace("//localhost", "//two.localhost");
    assert_ne!(moved, letter.link);

    let other = Browser::new();
    other.set_cookie("two.localhost", "linkgate-login", &browser.cookie("localhost", "linkgate-login"));
    other.visit(&moved).await;
    let fields = [("token", letter.token()), ("email", ALICE)];
    other.post_form(&two(&gateway, "/.linkgate/verify"), &fields).await;
    other.post_form(&two(&gateway, "/.linkgate/verify"), &[("code", &letter.code)]).await;
    assert!(other.visit(&two(&gateway, "/")).await.is_redirect());
    assert_eq!(browser.follow(&letter.link).await.expect(200).url.path(), "/page");
}

#[tokio::test]
async fn a_person_of_one_site_is_a_stranger_on_another() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let page = gateway.login_page(&browser, &gateway.url("/")).await;
    let fields = [("email", "bob@example.com"), ("return_to", &page.field("return_to"))];
    browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
    let letter = gateway.ask(&Browser::new(), "bob@example.com", &two(&gateway, "/")).await;
    assert!(letter.link.starts_with(&two(&gateway, "/")), "{}", letter.link);
    assert_eq!(gateway.letters().len(), 1);
}

#[tokio::test]
async fn signing_out_everywhere_on_one_site_leaves_the_other_alone() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&browser, ALICE, &two(&gateway, "/")).await;
    browser.post_form(&gateway.url("/.linkgate/logout"), &[("everywhere", "1")]).await.expect(303);
    assert!(browser.visit(&gateway.url("/")).await.is_redirect());
    browser.visit(&two(&gateway, "/")).await.expect(200);
}
