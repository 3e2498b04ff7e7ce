//! Once means once, however many come at the same moment; and nobody is forgotten when many ask at once.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use base64::Engine as _;
use std::collections::BTreeSet;
use std::sync::Arc;

const ALICE: &str = "alice@example.com";

/// The session id inside a session cookie.
fn session_id(cookie: &str) -> String {
    let claims = cookie.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thousand_strangers_with_link_and_address_make_one_session() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let letter = gateway.ask(&Browser::new(), ALICE, &gateway.url("/")).await;
    let start = Arc::new(tokio::sync::Barrier::new(1000));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (start, token, url) =
            (Arc::clone(&start), letter.token().to_owned(), gateway.url("/.linkgate/verify"));
        all.spawn(async move {
            let browser = Browser::new();
            start.wait().await;
            let answer = browser.post_form(&url, &[("token", &token), ("email", ALICE)]).await;
            assert!(answer.status < 500, "{}", answer.text());
            browser.cookie("localhost", "linkgate")
        });
    }
    let won: Vec<String> = all.join_all().await.into_iter().filter(|cookie| !cookie.is_empty()).collect();
    assert_eq!(won.len(), 1);
    let winner = Browser::new();
    winner.set_cookie("localhost", "linkgate", &won[0]);
    winner.visit(&gateway.url("/")).await.expect(200);
    let start = winner.visit(&gateway.url("/.linkgate/")).await.expect(200);
    assert_eq!(start.text().matches("/sessions/end").count(), 1, "one session on the list");
}

#[tokio::test]
async fn a_thousand_clicks_in_one_browser_make_one_session() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let nonce = browser.cookie("localhost", "linkgate-login");
    let start = Arc::new(tokio::sync::Barrier::new(1000));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (start, link, nonce) = (Arc::clone(&start), letter.link.clone(), nonce.clone());
        all.spawn(async move {
            let tab = Browser::new();
            tab.set_cookie("localhost", "linkgate-login", &nonce);
            start.wait().await;
            let answer = tab.visit(&link).await;
            assert_eq!(answer.status, 303, "the same browser is simply sent on: {}", answer.text());
            tab.cookie("localhost", "linkgate")
        });
    }
    let cookies = all.join_all().await;
    let ids: BTreeSet<String> = cookies.iter().filter(|c| !c.is_empty()).map(|c| session_id(c)).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn two_hundred_links_asked_for_at_once_are_all_delivered() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let start = Arc::new(tokio::sync::Barrier::new(200));
    let mut all = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (start, url) = (Arc::clone(&start), gateway.url("/.linkgate/login"));
        all.spawn(async move {
            let email = format!("person{number}@example.org");
            start.wait().await;
            Browser::new().post_form(&url, &[("email", &email)]).await.expect(303);
            email
        });
    }
    let asked: BTreeSet<String> = all.join_all().await.into_iter().collect();
    eventually("200 letters", async || (gateway.letters().len() >= 200).then_some(())).await;
    let letters = gateway.letters();
    assert_eq!(letters.len(), 200, "one each");
    assert_eq!(letters.iter().map(|letter| letter.to.clone()).collect::<BTreeSet<_>>(), asked);
    let links: BTreeSet<&str> = letters.iter().map(|letter| letter.link.as_str()).collect();
    assert_eq!(links.len(), 200, "each its own link");
}

#[tokio::test]
async fn five_code_tries_are_five_however_many_come_at_once() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let nonce = browser.cookie("localhost", "linkgate-login");
    let mut all = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (nonce, url) = (nonce.clone(), gateway.url("/.linkgate/verify"));
        all.spawn(async move {
            let tab = Browser::new();
            tab.set_cookie("localhost", "linkgate-login", &nonce);
            tab.post_form(&url, &[("code", &format!("0000-{number:04}"))]).await;
        });
    }
    all.join_all().await;
    browser.post_form(&gateway.url("/.linkgate/verify"), &[("code", &letter.code)]).await;
    assert!(browser.visit(&gateway.url("/")).await.is_redirect());
}
