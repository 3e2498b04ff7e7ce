//! One sign-in, many hosts: each host of a site has its own cookie, and gets it without a second letter.

use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use std::sync::Arc;

const ALICE: &str = "alice@example.com";
const SESSION: &str = "__Host-linkgate";

/// A site on <https://wiki.localhost> with a second host <https://photos.localhost>.
async fn start(app: &App) -> (Gateway, Arc<Authority>) {
    let place = Place::new();
    let authority = Authority::make(place.path(), &["wiki.localhost", "photos.localhost"]);
    let head = HEAD.replace("http://127.0.0.1:@PORT@", "https://127.0.0.1:@PORT@");
    let config = format!(
        r#"{head}
[tls]
certificate = "@DIR@/site.pem"
key = "@DIR@/site.key"
[[site]]
name = "wiki"
url = "https://wiki.localhost:@PORT@"
allow = ["{ALICE}"]
[[site.app]]
name = "wiki"
host = "wiki.localhost"
upstream = "{0}"
[[site.app]]
name = "photos"
host = "photos.localhost"
upstream = "{0}"
"#,
        app.url()
    );
    (Gateway::start_with(place, &config).await, authority)
}

fn wiki(gateway: &Gateway, path: &str) -> String {
    format!("https://wiki.localhost:{}{path}", gateway.place.port)
}

fn photos(gateway: &Gateway, path: &str) -> String {
    format!("https://photos.localhost:{}{path}", gateway.place.port)
}

#[tokio::test]
async fn who_is_signed_in_on_one_host_is_let_in_on_the_other_without_a_letter() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    let browser = Browser::trusting(&authority);
    gateway.sign_in(&browser, ALICE, &wiki(&gateway, "/")).await;
    let page = browser.follow(&photos(&gateway, "/album?year=2026&x=%2F")).await.expect(200);
    assert_eq!(page.url.as_str(), photos(&gateway, "/album?year=2026&x=%2F"));
    assert_eq!(app.request("/album").await.header("remote-user"), ALICE);
    assert_eq!(gateway.letters().len(), 1);
    let (one, two) = (browser.cookie("wiki.localhost", SESSION), browser.cookie("photos.localhost", SESSION));
    assert!(!one.is_empty() && !two.is_empty() && one != two, "each host its own");
}

#[tokio::test]
async fn a_sign_in_that_began_on_the_second_host_ends_there() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    let browser = Browser::trusting(&authority);
    let letter = gateway.ask(&browser, ALICE, &photos(&gateway, "/album?n=1")).await;
    assert!(letter.link.starts_with(&wiki(&gateway, "/.linkgate/verify")), "{}", letter.link);
    let page = browser.follow(&letter.link).await.expect(200);
    assert_eq!(page.url.as_str(), photos(&gateway, "/album?n=1"));
}

#[tokio::test]
async fn one_hosts_cookie_is_worth_nothing_on_the_other() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    let browser = Browser::trusting(&authority);
    gateway.sign_in(&browser, ALICE, &wiki(&gateway, "/")).await;
    let thief = Browser::trusting(&authority);
    thief.set_cookie("photos.localhost", SESSION, &browser.cookie("wiki.localhost", SESSION));
    assert!(thief.visit(&photos(&gateway, "/")).await.is_redirect());
}

/// Walks from the second host up to the ticket, and stops before it is used.
async fn ticket(gateway: &Gateway, browser: &Browser) -> String {
    let mut answer = browser.visit(&photos(gateway, "/album")).await;
    for _ in 0..5 {
        let next = answer.location();
        assert!(answer.is_redirect(), "{} answered {}", answer.url, answer.status);
        if next.contains("/enter?ticket=") {
            return next;
        }
        answer = browser.visit(&next).await;
    }
    panic!("no ticket");
}

#[tokio::test]
async fn a_ticket_is_bound_to_the_browser_and_used_once() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    let browser = Browser::trusting(&authority);
    gateway.sign_in(&browser, ALICE, &wiki(&gateway, "/")).await;

    let enter = ticket(&gateway, &browser).await;
    let thief = Browser::trusting(&authority);
    thief.visit(&enter).await;
    assert_eq!(thief.cookie("photos.localhost", SESSION), "", "another browser gets nothing");
    // Even one that has a nonce of its own on that host.
    thief.visit(&photos(&gateway, "/")).await;
    thief.visit(&enter).await;
    assert_eq!(thief.cookie("photos.localhost", SESSION), "");

    let enter = ticket(&gateway, &browser).await;
    for headers in [
        &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")][..],
        &[("sec-purpose", "prefetch")],
        &[("sec-fetch-dest", "iframe")],
    ] {
        browser.visit_with(&enter, headers).await;
        assert_eq!(browser.cookie("photos.localhost", SESSION), "", "{headers:?}");
    }
    let elsewhere = enter.replace("photos.localhost", "wiki.localhost");
    let before = browser.cookie("wiki.localhost", SESSION);
    browser.visit(&elsewhere).await;
    assert_eq!(browser.cookie("wiki.localhost", SESSION), before, "a ticket is for one host");

    let enter = ticket(&gateway, &browser).await;
    browser.visit(&enter).await.expect(303);
    assert_ne!(browser.cookie("photos.localhost", SESSION), "");
    browser.set_cookie("photos.localhost", SESSION, "");
    browser.visit(&enter).await;
    assert_eq!(browser.cookie("photos.localhost", SESSION), "", "once");
}

#[tokio::test]
async fn signing_out_on_one_host_ends_the_session_on_both() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    for from in ["wiki.localhost", "photos.localhost"] {
        let browser = Browser::trusting(&authority);
        gateway.sign_in(&browser, ALICE, &wiki(&gateway, "/")).await;
        browser.follow(&photos(&gateway, "/")).await.expect(200);
        let logout = format!("https://{from}:{}/.linkgate/logout", gateway.place.port);
        browser.post_form(&logout, &[]).await.expect(303);
        for url in [wiki(&gateway, "/"), photos(&gateway, "/")] {
            let end = browser.follow(&url).await;
            assert!(end.url.path().ends_with("/login"), "{url} led to {}", end.url);
        }
    }
}

#[tokio::test]
async fn plain_http_cookies_and_https_cookies_are_guarded() {
    let app = App::start().await;
    let (gateway, authority) = start(&app).await;
    let browser = Browser::trusting(&authority);
    let letter = gateway.ask(&browser, ALICE, &wiki(&gateway, "/")).await;
    let answer = browser.visit(&letter.link).await;
    let set = answer.header("set-cookie");
    assert!(
        set.contains(&format!("{SESSION}=")) && set.contains("Secure") && set.contains("HttpOnly"),
        "{set}"
    );
    assert!(answer.header("strict-transport-security").contains("max-age="), "{:?}", answer.headers);
}
