//! The first command: everything on one machine, with nothing configured.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::process::assert_within_a_second;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

struct Demo {
    child: Child,
    port: u16,
}

impl Demo {
    async fn start(more: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_linkgate"))
            .args(["demo", "--listen", &format!("127.0.0.1:{port}")])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let demo = Self { child, port };
        let url = demo.url("/");
        eventually("the demo answers", async || {
            let headers = [("accept", "text/html")];
            crate::harness::browser::try_fetch(None, "GET", &url, &headers, Vec::new()).await.ok()
        })
        .await;
        demo
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    async fn sign_in(&self, browser: &Browser, path: &str) -> String {
        let page = browser.follow(&self.url(path)).await.expect(200);
        let fields = [("email", "alice@example.com"), ("return_to", &page.field("return_to"))];
        browser.post_form(&self.url("/.linkgate/login"), &fields).await.expect(303);
        let link = eventually("a letter in the inbox", async || {
            let inbox = browser.visit(&self.url("/.linkgate/demo/inbox.json")).await.expect(200).json();
            inbox[0]["link"].as_str().map(str::to_owned)
        })
        .await;
        browser.follow(&link).await.expect(200).text()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_demo_starts_in_a_second_and_lets_anybody_try_the_whole_way() {
    let begun = Instant::now();
    let demo = Demo::start(&[]).await;
    assert_within_a_second(begun);
    let browser = Browser::new();
    let page = demo.sign_in(&browser, "/try?it=1").await;
    assert!(page.contains("alice@example.com") && page.contains("/try?it=1"), "{page}");
    let inbox = browser.visit(&demo.url("/.linkgate/demo/inbox")).await.expect(200);
    assert!(inbox.text().contains("alice@example.com"));
    let inbox = browser.visit(&demo.url("/.linkgate/demo/inbox.json")).await.json();
    for field in ["to", "subject", "text", "html", "link", "code"] {
        assert!(inbox[0][field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {inbox}");
    }
}

#[tokio::test]
async fn the_demo_goes_before_somebodys_own_app() {
    let app = App::start().await;
    let demo = Demo::start(&["--upstream", &app.url()]).await;
    demo.sign_in(&Browser::new(), "/own").await;
    assert_eq!(app.request("/own").await.header("remote-user"), "alice@example.com");
}

#[tokio::test]
async fn the_inbox_is_for_the_person_at_this_machine_alone() {
    let demo = Demo::start(&[]).await;
    let browser = Browser::new();
    demo.sign_in(&browser, "/").await;
    for path in ["/.linkgate/demo/inbox", "/.linkgate/demo/inbox.json"] {
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-host", "localhost"),
        ] {
            let answer = browser.visit_with(&demo.url(path), &[(name, value)]).await;
            assert!(matches!(answer.status, 403 | 404), "{path} with {name}: {}", answer.status);
        }
        // A name that was bound to this machine (DNS rebinding).
        let rebound = format!("http://evil.localhost:{}{path}", demo.port);
        assert!(matches!(browser.visit(&rebound).await.status, 403 | 404 | 421));
        let address = format!("http://127.0.0.1:{}{path}", demo.port);
        assert!(matches!(browser.visit(&address).await.status, 403 | 404 | 421));
    }
}
