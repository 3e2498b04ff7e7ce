//! Links that no longer work, or never did: each says why, and offers the next step in one click.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::sign_in::ask;
use serde_json::Value;

const ALICE: &str = "alice@example.com";

async fn made(gateway: &Gateway, expires: &str) -> String {
    let made = gateway.run(&["link", "create", ALICE, "--expires", expires, "--json"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    made["link"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_used_link_offers_a_fresh_letter_in_one_click() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone) = (Chrome::start().await, Chrome::start().await);
    ask(&desk, &gateway.url("/page"), ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    desk.open(&letter.link).await;
    desk.arrives(&gateway.url("/page")).await;
    // The same browser is simply sent on.
    desk.open(&letter.link).await;
    desk.arrives(&gateway.url("/page")).await;

    phone.open(&letter.link).await;
    phone.shows("It has been used already").await;
    phone.press("Send me a new link").await;
    phone.shows("Check your e-mail").await;
    let fresh = gateway.letter_to(ALICE).await;
    phone.open(&fresh.link).await;
    // The phone never asked by the address: it types it, like everybody who opens a link elsewhere.
    phone.enter("input[name=email]", ALICE).await;
    phone.shows("The app").await;
}

#[tokio::test]
async fn an_expired_link_offers_a_fresh_letter_in_one_click() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let link = made(&gateway, "1s").await;
    eventually("the link expires", async || {
        chrome.open(&link).await;
        chrome.text().await.contains("It has expired").then_some(())
    })
    .await;
    chrome.press("Send me a new link").await;
    chrome.shows("Check your e-mail").await;
    let fresh = gateway.letter_to(ALICE).await;
    chrome.open(&fresh.link).await;
    chrome.enter("input[name=email]", ALICE).await;
    chrome.shows("The app").await;
}

#[tokio::test]
async fn revoked_tampered_and_foreign_links_say_what_they_are() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let link = made(&gateway, "1h").await;
    gateway.run(&["link", "revoke", "--email", ALICE]).await;
    let tampered = format!("{}AAAA", &link[..link.len() - 4]);
    let foreign = gateway.url("/.linkgate/verify?token=3f2a9c&ts=1700000000");
    for (link, says) in [
        (&link, "It has been withdrawn"),
        (&tampered, "damaged or incomplete"),
        (&foreign, "an older system"),
    ] {
        chrome.open(link).await;
        chrome.shows(says).await;
        chrome.press("Sign in").await;
        chrome.find("input[name=email]").await;
        chrome.open(&gateway.url("/")).await;
        chrome.find("input[name=email]").await;
    }
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn another_persons_link_asks_who_one_wants_to_be() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    ask(&chrome, &gateway.url("/"), "bob@example.com").await;
    let letter = gateway.letter_to("bob@example.com").await;
    chrome.open(&letter.link).await;
    chrome.shows("bob@example.com").await;

    chrome.open(&made(&gateway, "1h").await).await;
    chrome.shows("You are already signed in").await;
    chrome.enter("input[name=email]", ALICE).await;
    chrome.shows("The app").await;
    assert!(chrome.text().await.contains(ALICE));
}
