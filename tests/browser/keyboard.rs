//! The way in and out by keyboard alone: nothing is clicked, and one always sees where one is.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::gateway::Gateway;
use serde_json::Value;

const ALICE: &str = "alice@example.com";
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Presses Tab until this has the focus, and looks whether that can be seen.
async fn tab_to(chrome: &Chrome, css: &str) {
    chrome.find(css).await;
    let there = format!("return document.activeElement.matches('{css}')");
    let mut ways = 0;
    while chrome.run(&there).await != Value::Bool(true) {
        ways += 1;
        assert!(ways < 30, "{css} is not reached with Tab at {}", chrome.address().await);
        chrome.keys(TAB).await;
    }
    let ring = "const look = getComputedStyle(document.activeElement);\
                return look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2";
    assert_eq!(chrome.run(ring).await, Value::Bool(true), "{css} does not show that it has the focus");
}

#[tokio::test]
async fn the_way_in_and_out_needs_no_mouse() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let wanted = gateway.url("/page?by=keyboard#here");
    chrome.open(&wanted).await;
    tab_to(&chrome, "input[name=email]").await;
    chrome.keys(ALICE).await;
    tab_to(&chrome, "form button").await;
    chrome.keys(ENTER).await;
    chrome.shows("Check your e-mail").await;
    let letter = gateway.letter_to(ALICE).await;
    tab_to(&chrome, "input[name=code]").await;
    chrome.keys(&letter.code).await;
    chrome.keys(TAB).await;
    tab_to(&chrome, "input[name=code] ~ button").await;
    chrome.keys(ENTER).await;
    chrome.arrives(&wanted).await;
    chrome.shows(ALICE).await;

    chrome.open(&gateway.url("/.linkgate/")).await;
    tab_to(&chrome, "form[action$=logout] button:not([name])").await;
    chrome.keys(ENTER).await;
    chrome.shows("You are signed out").await;
    tab_to(&chrome, "a.button").await;
    chrome.keys(ENTER).await;
    chrome.find("input[name=email]").await;
}

#[tokio::test]
async fn another_browser_gets_in_without_a_mouse_after_a_slip_of_the_finger() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone) = (Chrome::start().await, Chrome::start().await);
    crate::sign_in::ask(&desk, &gateway.url("/page"), ALICE).await;
    phone.open(&gateway.letter_to(ALICE).await.link).await;
    tab_to(&phone, "input[name=email]").await;
    phone.keys("alcie@example.com").await;
    phone.keys(ENTER).await;
    phone.shows("The link was not sent to this address").await;
    // The field with the mistake has the focus, and says what is wrong to those who do not see it.
    let field = "const field = document.activeElement; return [field.name, field.ariaInvalid,\
                 document.getElementById(field.getAttribute('aria-describedby')).role]";
    assert_eq!(phone.run(field).await, serde_json::json!(["email", "true", "alert"]));
    phone.keys(ALICE).await;
    tab_to(&phone, "input[name=email] ~ button").await;
    phone.keys(ENTER).await;
    phone.shows("The app").await;
}
