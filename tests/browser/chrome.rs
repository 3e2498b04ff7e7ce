//! One person's Chromium, with a profile of its own; driven through Debian's chromedriver. Ends with the test.

use crate::harness::PATIENCE;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use fantoccini::Client;
use fantoccini::ClientBuilder;
use fantoccini::Locator;
use fantoccini::actions::InputSource;
use fantoccini::actions::KeyAction;
use fantoccini::actions::KeyActions;
use fantoccini::elements::Element;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use serde_json::json;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

pub struct Chrome {
    driver: Child,
    port: u16,
    profile: TempDir,
    pub client: Client,
}

impl Chrome {
    pub async fn start() -> Self {
        let profile = TempDir::new().unwrap();
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: run tests/check.sh --install first");
        let url = format!("http://127.0.0.1:{port}");
        eventually("chromedriver is ready", async || {
            let status = try_fetch(None, "GET", &format!("{url}/status"), &[], Vec::new()).await.ok()?;
            (status.json()["value"]["ready"] == true).then_some(())
        })
        .await;
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-default-apps".to_owned(),
            "--lang=en-US".to_owned(),
            "--window-size=1000,800".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": arguments },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone())
            .connect(&url)
            .await
            .unwrap();
        Self { driver, port, profile, client }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// What can be read on the page.
    pub async fn text(&self) -> String {
        let text = self.client.execute("return document.body ? document.body.innerText : ''", vec![]).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    pub async fn find(&self, css: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css} at {}: {error}\n{}", self.address().await, self.text().await),
        }
    }

    /// Types into a field and presses Enter, as a person does.
    pub async fn enter(&self, css: &str, text: &str) {
        self.find(css).await.send_keys(&format!("{text}\u{e007}")).await.unwrap();
    }

    /// Presses the button or link with these words.
    pub async fn press(&self, words: &str) {
        let path = format!("//*[(self::button or self::a) and normalize-space(.)='{words}']");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        let Ok(found) = found else { panic!("no {words:?} on\n{}", self.text().await) };
        found.click().await.unwrap();
    }

    /// Waits until the page shows these words.
    pub async fn shows(&self, words: &str) {
        eventually(&format!("the page shows {words:?}"), async || {
            let text = self.text().await;
            if !text.contains(words) {
                remember(&text);
            }
            text.contains(words).then_some(())
        })
        .await;
    }

    /// Waits until the address is this one.
    pub async fn arrives(&self, url: &str) {
        eventually(&format!("the browser arrives at {url}"), async || {
            (self.address().await == url).then_some(())
        })
        .await;
    }

    /// Presses these keys, one after the other, on whatever has the focus.
    pub async fn keys(&self, keys: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Prefers this language, from the next page on.
    pub async fn speaks(&self, language: &str) {
        let agent = self.run("return navigator.userAgent").await;
        let wish = json!({ "userAgent": agent, "acceptLanguage": language });
        self.devtools("Emulation.setUserAgentOverride", wish).await;
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("http://127.0.0.1:{}/session/{session}/goog/cdp/execute", self.port);
        let body = serde_json::to_vec(&json!({ "cmd": command, "params": parameters })).unwrap();
        let kind = [("content-type", "application/json")];
        try_fetch(None, "POST", &url, &kind, body).await.unwrap().expect(200);
    }
}

/// Kept for the message of a failed wait: the last text is printed when the test ends badly.
fn remember(text: &str) {
    LAST.with_borrow_mut(|last| text.clone_into(last));
}

thread_local! {
    static LAST: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

impl Drop for Chrome {
    fn drop(&mut self) {
        if std::thread::panicking() {
            LAST.with_borrow(|last| {
                eprintln!("--- the last page that was not what was waited for\n{last}\n---");
            });
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // Chromium outlives its driver: everything that runs on this profile goes.
        let profile = self.profile.path().display().to_string();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&profile) {
                let _ =
                    Command::new("kill").arg("-9").arg(process.file_name()).stderr(Stdio::null()).status();
            }
        }
    }
}
