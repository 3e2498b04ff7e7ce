//! The main path: first visit, login page, letter, click, and the page first asked for.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

/// Opens the page, asks for a link, and waits for the waiting page.
pub async fn ask(chrome: &Chrome, url: &str, email: &str) {
    chrome.open(url).await;
    chrome.enter("input[name=email]", email).await;
    chrome.shows("Check your e-mail").await;
}

#[tokio::test]
async fn the_click_in_the_same_browser_leads_to_the_page_first_asked_for_query_and_fragment_intact() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let wanted = gateway.url("/deep/page?x=1&y=a%20b#part-2");
    ask(&chrome, &wanted, ALICE).await;
    assert!(chrome.text().await.contains(ALICE));
    let letter = gateway.letter_to(ALICE).await;

    chrome.open(&letter.link).await;
    chrome.arrives(&wanted).await;
    chrome.shows(ALICE).await;
    assert_eq!(app.request("/deep").await.header("remote-user"), ALICE);
}

#[tokio::test]
async fn the_code_typed_into_the_waiting_page_lets_in() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let wanted = gateway.url("/page?q=1#here");
    ask(&chrome, &wanted, ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    chrome.enter("input[name=code]", "0000-0000").await;
    chrome.shows("This code is not right").await;
    chrome.enter("input[name=code]", &letter.code.to_lowercase()).await;
    chrome.arrives(&wanted).await;
    chrome.shows(ALICE).await;
}

#[tokio::test]
async fn a_waiting_tab_goes_on_by_itself_when_the_link_is_opened_in_another() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    let wanted = gateway.url("/page?tab=1");
    ask(&chrome, &wanted, ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    let waiting = chrome.client.window().await.unwrap();
    let other = chrome.client.new_window(true).await.unwrap();
    chrome.client.switch_to_window(other.handle).await.unwrap();
    chrome.open(&letter.link).await;
    chrome.arrives(&wanted).await;
    chrome.client.switch_to_window(waiting).await.unwrap();
    chrome.arrives(&wanted).await;
}

#[tokio::test]
async fn another_browser_gets_in_by_the_address() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone) = (Chrome::start().await, Chrome::start().await);
    ask(&desk, &gateway.url("/page"), ALICE).await;
    let letter = gateway.letter_to(ALICE).await;

    phone.open(&letter.link).await;
    phone.shows("Is this you?").await;
    assert!(!phone.text().await.contains(ALICE));
    assert!(!phone.address().await.contains("token="), "the token leaves the address bar at once");
    phone.enter("input[name=email]", "mallory@example.com").await;
    phone.shows("The link was not sent to this address").await;
    phone.enter("input[name=email]", ALICE).await;
    phone.shows("The app").await;
    assert!(phone.text().await.contains(ALICE));
    desk.shows("used in another browser").await;
}

#[tokio::test]
async fn everything_works_without_script() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let chrome = Chrome::start().await;
    chrome.devtools("Emulation.setScriptExecutionDisabled", serde_json::json!({ "value": true })).await;
    chrome.open("data:text/html,<title>off</title><script>document.title = 'on'</script>").await;
    assert_eq!(chrome.client.title().await.unwrap(), "off");
    let wanted = gateway.url("/page?q=1");
    chrome.open(&wanted).await;
    chrome.enter("input[name=email]", ALICE).await;
    chrome.find("input[name=code]").await;
    let letter = gateway.letter_to(ALICE).await;
    chrome.open(&letter.link).await;
    chrome.arrives(&wanted).await;
    chrome.open(&gateway.url("/.linkgate/logout")).await;
    chrome.press("Sign out").await;
    chrome.arrives(&gateway.url("/.linkgate/logout")).await;
    chrome.open(&wanted).await;
    chrome.find("input[name=email]").await;
}
