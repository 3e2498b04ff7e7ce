//! A person before each proxy that asks linkgate: signs in, comes back to the very address, passes on to another host of
//! the site, sends a form by script, and signs out.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::Guard;
use crate::harness::guard::HOST;
use crate::harness::guard::Kind;
use crate::harness::guard::OTHER;
use crate::harness::proxies::apache_asking;
use crate::harness::proxies::apache_before_linkgate;
use crate::harness::proxies::caddy;
use crate::harness::proxies::envoy;
use crate::harness::proxies::haproxy;
use crate::harness::proxies::nginx;
use crate::harness::proxies::traefik;
use crate::sign_in::ask;

/// What the app of the tests shows of Alice.
const SHOWN: &str = "1017";

async fn signs_in_goes_around_and_out(kind: Kind) {
    let app = App::start().await;
    around(&Guard::before(kind, &app).await, &app).await;
}

async fn around(guard: &Guard, app: &App) {
    let chrome = Chrome::start().await;
    let wanted = guard.url("/deep/page?x=1&y=a%20b&x=2#part-2");
    ask(&chrome, &wanted, ALICE).await;
    let letter = guard.gateway.letter_to(ALICE).await;
    chrome.open(&letter.link).await;
    chrome.arrives(&wanted).await;
    chrome.shows(SHOWN).await;
    assert_eq!(app.request("/deep").await.header("remote-email"), ALICE);
    assert_eq!(chrome.run("return document.cookie").await, "");

    let script =
        "const [done] = arguments; fetch('/form', { method: 'POST', body: 'a=1' }).then(r => done(r.status))";
    let status = chrome.client.execute_async(script, Vec::new()).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(app.request("/form").await.body, b"a=1");

    let other = format!("https://{OTHER}:{}/album?year=2026#last", guard.port);
    chrome.open(&other).await;
    chrome.arrives(&other).await;
    chrome.shows(SHOWN).await;
    assert_eq!(guard.gateway.letters().len(), 1);

    chrome.open(&guard.url("/.linkgate/logout")).await;
    chrome.press("Sign out").await;
    chrome.shows("You are signed out").await;
    for url in [&wanted, &other] {
        chrome.open(url).await;
        chrome.find("input[name=email]").await;
        let address = chrome.address().await;
        assert!(address.starts_with(&format!("https://{HOST}:{}/.linkgate/login", guard.port)), "{address}");
    }
}

#[tokio::test]
async fn before_haproxy() {
    signs_in_goes_around_and_out(haproxy).await;
}

#[tokio::test]
async fn before_apache() {
    signs_in_goes_around_and_out(apache_asking).await;
}

#[tokio::test]
async fn before_envoy() {
    signs_in_goes_around_and_out(envoy).await;
}

#[tokio::test]
async fn before_apache_that_only_hands_on() {
    let app = App::start().await;
    around(&Guard::through(apache_before_linkgate, &app).await, &app).await;
}

#[tokio::test]
async fn before_nginx() {
    signs_in_goes_around_and_out(nginx).await;
}

#[tokio::test]
async fn before_caddy() {
    signs_in_goes_around_and_out(caddy).await;
}

#[tokio::test]
async fn before_traefik() {
    signs_in_goes_around_and_out(traefik).await;
}
