//! Pages that people seldom see, and every language: they are to be as good as the others.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::looks::Eye;
use crate::sign_in::ask;
use serde_json::Value;
use serde_json::json;

const ALICE: &str = "alice@example.com";

async fn made(gateway: &Gateway, expires: &str) -> String {
    let made = gateway.run(&["link", "create", ALICE, "--expires", expires, "--json"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    made["link"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn pages_that_are_seldom_seen_pass_axe_as_well() {
    let app = App::start().await;
    // Takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
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
response_timeout = "1s"
[[site.app.route]]
path = "/slow/"
upstream = "http://{}"
"#,
        app.url(),
        silent.local_addr().unwrap()
    ))
    .await;
    let mut eye = Eye::new();
    let (chrome, other) = (Chrome::start().await, Chrome::start().await);
    let own = |path: &str| gateway.url(&format!("/.linkgate{path}"));

    // The browser's own check would stop it; the page must say it as well.
    chrome.open(&gateway.url("/page")).await;
    chrome.find("input[name=email]").await;
    chrome.run("document.querySelector('form').noValidate = true").await;
    chrome.enter("input[name=email]", "alice at example").await;
    eye.look(&chrome, "login, bad address", "does not look like").await;
    other.open(&format!("http://nowhere.localhost:{}/", gateway.place.port)).await;
    eye.look(&other, "error, unknown host", "This address is not set up").await;

    let link = made(&gateway, "1s").await;
    eventually("the link expires", async || {
        other.open(&link).await;
        other.text().await.contains("It has expired").then_some(())
    })
    .await;
    eye.inspect(&other, "link, expired").await;
    other.open(&link.replace("token=", "token=x")).await;
    eye.look(&other, "link, tampered", "damaged or incomplete").await;
    let link = made(&gateway, "1h").await;
    gateway.run(&["link", "revoke", "--email", ALICE]).await;
    other.open(&link).await;
    eye.look(&other, "link, revoked", "withdrawn").await;

    ask(&chrome, &gateway.url("/page"), ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    for _ in 0..5 {
        other.open(&letter.link).await;
        other.enter("input[name=email]", "x@example.com").await;
        eventually("the answer is there", async || {
            let text = other.text().await;
            (text.contains("was not sent to") || text.contains("Too many")).then_some(())
        })
        .await;
    }
    eye.look(&other, "verify, too many", "Too many wrong addresses").await;
    // A look ahead is not yet a click.
    chrome.devtools("Network.enable", json!({})).await;
    chrome.devtools("Network.setExtraHTTPHeaders", json!({ "headers": { "Sec-Purpose": "prefetch" } })).await;
    chrome.open(&letter.link).await;
    eye.look(&chrome, "confirm", "Sign in now?").await;
    chrome.devtools("Network.setExtraHTTPHeaders", json!({ "headers": {} })).await;
    chrome.press("Sign in").await;
    chrome.arrives(&gateway.url("/page")).await;

    chrome.open(&gateway.url("/slow/x")).await;
    eye.look(&chrome, "error, app slow", "The site takes too long").await;
    gateway.run(&["session", "revoke", "--email", ALICE]).await;
    eventually("the session has ended", async || {
        chrome.open(&gateway.url("/page")).await;
        chrome.text().await.contains("Send me a link").then_some(())
    })
    .await;
    eye.inspect(&chrome, "login, session ended").await;
    chrome.open(&own("/logout")).await;
    eye.inspect(&chrome, "logout without session").await;
    eye.is_content();
}

#[tokio::test]
async fn every_language_passes_axe_and_fits_a_phone() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let mut eye = Eye::new();
    let (chrome, other) = (Chrome::start().await, Chrome::start().await);
    for language in ["de", "fr", "es", "ru"] {
        let is = format!("html[lang={language}]");
        chrome.speaks(language).await;
        other.speaks(language).await;
        chrome.open(&gateway.url("/page")).await;
        chrome.find(&is).await;
        eye.inspect(&chrome, &format!("login {language}")).await;
        chrome.enter("input[name=email]", ALICE).await;
        chrome.find("input[name=code]").await;
        chrome.find(&is).await;
        eye.inspect(&chrome, &format!("waiting {language}")).await;
        let letter = gateway.letter_to(ALICE).await;
        other.open(&letter.link).await;
        other.find(&is).await;
        eye.inspect(&other, &format!("verify {language}")).await;
        chrome.open(&letter.link).await;
        chrome.arrives(&gateway.url("/page")).await;
        other.open(&letter.link).await;
        other.find("input[name=again]").await;
        eye.inspect(&other, &format!("link, used {language}")).await;
        chrome.open(&gateway.url("/.linkgate/")).await;
        chrome.find(&is).await;
        eye.inspect(&chrome, &format!("start {language}")).await;
        chrome.find("form[action$=logout] button[name=everywhere]").await.click().await.unwrap();
        chrome.find("a.button[href$=login]").await;
        eye.inspect(&chrome, &format!("signed out {language}")).await;
    }
    eye.is_content();
}
