//! Every page as axe-core sees it (WCAG 2.2 A and AA), light and dark, on a desktop and on a phone.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::gateway::Gateway;
use crate::harness::installed;
use crate::sign_in::ask;
use serde_json::Value;
use serde_json::json;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

const RUN: &str = "
const done = arguments[arguments.length - 1];
axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | '))))
    .catch(error => done(['axe: ' + error]));";

pub struct Eye {
    axe: String,
    pub looked: Vec<String>,
    pub wrong: Vec<String>,
}

impl Eye {
    pub fn new() -> Self {
        let axe = std::fs::read_to_string(installed("axe.min.js")).unwrap();
        Self { axe, looked: Vec::new(), wrong: Vec::new() }
    }

    /// Looks at the page that is open now, as soon as it shows these words.
    pub async fn look(&mut self, chrome: &Chrome, name: &str, words: &str) {
        chrome.shows(words).await;
        self.inspect(chrome, name).await;
    }

    /// Looks at whatever page is open now.
    pub async fn inspect(&mut self, chrome: &Chrome, name: &str) {
        self.looked.push(name.to_owned());
        for scheme in ["light", "dark"] {
            for width in [1000, 320] {
                let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
                chrome.devtools("Emulation.setEmulatedMedia", json!({ "features": feature })).await;
                let size =
                    json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
                chrome.devtools("Emulation.setDeviceMetricsOverride", size).await;
                let dark = chrome.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
                assert_eq!(dark, Value::Bool(scheme == "dark"));
                let wide =
                    "const page = document.documentElement; return page.scrollWidth > page.clientWidth";
                if chrome.run(wide).await == Value::Bool(true) {
                    self.wrong.push(format!("{name} {scheme} {width}: wider than the screen"));
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a person who wants to look says where to put pictures"
                )]
                let pictures = std::env::var_os("SCREENSHOTS");
                if let Some(folder) = pictures {
                    let file = format!("{}-{scheme}-{width}.png", name.replace([' ', ','], "-"));
                    let picture = chrome.client.screenshot().await.unwrap();
                    std::fs::write(std::path::Path::new(&folder).join(file), picture).unwrap();
                }
                chrome.run(&self.axe).await;
                let found = chrome.client.execute_async(RUN, vec![]).await.unwrap();
                for one in found.as_array().unwrap() {
                    self.wrong.push(format!("{name} {scheme} {width}: {}", one.as_str().unwrap()));
                }
            }
        }
    }

    #[track_caller]
    pub fn is_content(&self) {
        assert!(self.wrong.is_empty(), "{} complaints:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

#[tokio::test]
async fn every_page_passes_axe_in_light_and_dark_wide_and_narrow() {
    let app = App::start().await;
    let gateway = Gateway::start(&format!(
        r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["@example.com"]
contact = "it@example.com"
[[site.app]]
name = "main"
host = "localhost"
upstream = "{}"
[[site.app.route]]
path = "/admin/"
allow = ["{BOB}"]
[[site.app.route]]
path = "/down/"
upstream = "http://127.0.0.1:1"
[[site]]
name = "club"
url = "http://club.localhost:@PORT@"
upstream = "{0}"
allow = ["@example.com"]
sign_in = "invited"
"#,
        app.url()
    ))
    .await;
    let mut eye = Eye::new();
    let (chrome, other) = (Chrome::start().await, Chrome::start().await);
    // It is able to complain.
    chrome.open("data:text/html,<title>x</title><main><img src=x>Bad</main>").await;
    eye.look(&chrome, "a bad page", "Bad").await;
    assert!(eye.wrong.iter().any(|wrong| wrong.contains("image-alt")), "{:?}", eye.wrong);
    eye.wrong.clear();
    let own = |path: &str| gateway.url(&format!("/.linkgate{path}"));

    chrome.open(&gateway.url("/page")).await;
    eye.look(&chrome, "login", "Send me a link").await;
    chrome.open(&format!("http://club.localhost:{}/", gateway.place.port)).await;
    eye.look(&chrome, "login, invited", "invited").await;
    ask(&chrome, &gateway.url("/page"), ALICE).await;
    eye.look(&chrome, "waiting", "Check your e-mail").await;
    chrome.enter("input[name=code]", "0000-0000").await;
    eye.look(&chrome, "waiting, wrong code", "This code is not right").await;
    let letter = gateway.letter_to(ALICE).await;
    other.open(&letter.link).await;
    eye.look(&other, "verify", "Is this you?").await;
    other.enter("input[name=email]", "x@example.com").await;
    eye.look(&other, "verify, wrong address", "The link was not sent").await;
    chrome.open(&letter.link).await;
    chrome.arrives(&gateway.url("/page")).await;
    other.open(&letter.link).await;
    eye.look(&other, "link, used", "used already").await;
    other.open(&own("/verify?token=x&ts=1")).await;
    eye.look(&other, "link, foreign", "older system").await;
    chrome.open(&own("/")).await;
    eye.look(&chrome, "start", "Your apps").await;
    chrome.open(&gateway.url("/admin/x")).await;
    eye.look(&chrome, "denied", "You have no access here").await;
    chrome.open(&gateway.url("/down/x")).await;
    eye.look(&chrome, "error, app down", "not running right now").await;
    chrome.open(&own("/nothing")).await;
    eye.look(&chrome, "error, not found", "Nothing found here").await;
    let made = gateway.run(&["link", "create", BOB, "--site", "wiki", "--json"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    chrome.open(made["link"].as_str().unwrap()).await;
    eye.look(&chrome, "other person", "You are already signed in").await;
    chrome.open(&own("/logout")).await;
    eye.look(&chrome, "logout", "Sign out?").await;
    chrome.press("Sign out").await;
    eye.look(&chrome, "signed out", "You are signed out").await;
    // A form of the app's, sent after the session ended.
    chrome.open(&own("/logout")).await;
    chrome
        .run("const form = document.createElement('form'); form.method = 'post'; form.action = '/save'; document.body.append(form); form.submit()")
        .await;
    eye.look(&chrome, "lost post", "Please sign in first").await;

    assert!(eye.looked.len() >= 17);
    eye.is_content();
}
