//! The code in the letter, typed where the link was asked for.

use crate::harness::app::App;
use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

async fn enter(gateway: &Gateway, browser: &Browser, code: &str) -> Answer {
    browser.post_form(&gateway.url("/.linkgate/verify"), &[("code", code)]).await
}

#[tokio::test]
async fn the_code_works_in_any_spelling_where_it_was_asked_for() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    for spelling in [
        (|code| code) as fn(String) -> String,
        |code| code.to_lowercase(),
        |code| code.replace('-', ""),
        |code| format!("  {}  ", code.replace('-', " ")),
    ] {
        let browser = Browser::new();
        let letter = gateway.ask(&browser, ALICE, &gateway.url("/page?q=1")).await;
        let answer = enter(&gateway, &browser, &spelling(letter.code.clone())).await.expect(303);
        assert_eq!(answer.location(), gateway.url("/page?q=1"));
        browser.visit(&gateway.url("/")).await.expect(200);
    }
}

#[tokio::test]
async fn the_code_is_worth_nothing_in_another_browser() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let thief = Browser::new();
    gateway.ask(&thief, ALICE, &gateway.url("/")).await;
    enter(&gateway, &thief, &letter.code).await;
    assert!(thief.visit(&gateway.url("/")).await.is_redirect());
    enter(&gateway, &browser, &letter.code).await.expect(303);
    browser.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn five_wrong_codes_turn_it_off_but_never_the_link() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page")).await;
    for guess in ["0000-0000", "0000-0001", "0000-0002", "0000-0003", "0000-0004"] {
        enter(&gateway, &browser, guess).await;
    }
    enter(&gateway, &browser, &letter.code).await;
    assert!(browser.visit(&gateway.url("/")).await.is_redirect(), "the sixth try is too late");
    assert_eq!(browser.follow(&letter.link).await.expect(200).url.path(), "/page");
}

#[tokio::test]
async fn link_and_code_are_spent_together() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    enter(&gateway, &browser, &letter.code).await.expect(303);
    let other = Browser::new();
    let fields = [("token", letter.token()), ("email", ALICE)];
    other.post_form(&gateway.url("/.linkgate/verify"), &fields).await;
    assert!(other.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn the_waiting_page_learns_that_the_code_was_typed() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page")).await;
    let status = gateway.url("/.linkgate/login/status");
    let ask = async || browser.json("GET", &status, &serde_json::Value::Null).await.expect(200).json();
    assert_eq!(ask().await["state"], "waiting");
    enter(&gateway, &browser, &letter.code).await.expect(303);
    assert_eq!(ask().await["state"], "signed-in");
}
