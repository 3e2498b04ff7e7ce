//! A real, unmodified app: Radicale, which believes `X-Remote-User`.

use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::installed;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

const ALICE: &str = "alice@example.com";
const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\n\
                     DTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nDTEND:20260102T110000Z\r\nSUMMARY:Tea\r\n\
                     END:VEVENT\r\nEND:VCALENDAR\r\n";
const WHO: &str =
    "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><prop><current-user-principal/></prop></propfind>";

struct Radicale {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Radicale {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let config = folder.path().join("config");
        let text = format!(
            "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = http_x_remote_user\n[storage]\nfilesystem_folder = {}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(installed("venv/bin/radicale"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let app = Self { child, port, _folder: folder };
        let url = format!("http://127.0.0.1:{port}/");
        eventually("Radicale answers", async || try_fetch(None, "GET", &url, &[], Vec::new()).await.ok())
            .await;
        app
    }
}

impl Drop for Radicale {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn start(app: &Radicale) -> Gateway {
    Gateway::start(&format!(
        "[[site]]\nname = \"calendar\"\nurl = \"http://localhost:@PORT@\"\nallow = [\"{ALICE}\", \"bob@example.com\"]\n\
         [[site.app]]\nname = \"calendar\"\nhost = \"localhost\"\nupstream = \"http://127.0.0.1:{}\"\n\
         identity = {{ \"X-Remote-User\" = \"{{user}}\" }}\n",
        app.port
    ))
    .await
}

async fn dav(
    browser: &Browser,
    gateway: &Gateway,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &str,
) -> Answer {
    browser.send(method, &gateway.url(path), more, body.as_bytes().to_vec()).await
}

#[tokio::test]
async fn a_signed_in_person_keeps_a_calendar_and_nobody_else_gets_near() {
    let app = Radicale::start().await;
    let gateway = start(&app).await;
    let alice = Browser::new();
    let page = gateway.sign_in(&alice, ALICE, &gateway.url("/.web/")).await;
    assert!(page.text().contains("Radicale"), "{}", page.text());

    let home = "/alice@example.com/";
    let made = dav(&alice, &gateway, "MKCALENDAR", &format!("{home}tea/"), &[], "").await;
    assert_eq!(made.status, 201, "{}", made.text());
    let kind = [("content-type", "text/calendar")];
    let put = dav(&alice, &gateway, "PUT", &format!("{home}tea/one.ics"), &kind, EVENT).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let got = dav(&alice, &gateway, "GET", &format!("{home}tea/one.ics"), &[], "").await;
    assert!(got.status == 200 && got.text().contains("SUMMARY:Tea"), "{}", got.text());

    let nobody = Browser::new();
    assert_eq!(dav(&nobody, &gateway, "GET", &format!("{home}tea/one.ics"), &[], "").await.status, 401);
    let bob = Browser::new();
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/.web/")).await;
    let got = dav(&bob, &gateway, "GET", &format!("{home}tea/one.ics"), &[], "").await;
    assert!(got.status == 403 || got.status == 404, "{}: the app knows that it is bob", got.status);
}

#[tokio::test]
async fn a_header_from_outside_fools_nobody_in_any_spelling() {
    let app = Radicale::start().await;
    let gateway = start(&app).await;
    let bob = Browser::new();
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/.web/")).await;
    for name in [
        "X-Remote-User",
        "x-remote-user",
        "X_Remote_User",
        "X-Remote_User",
        "x.remote.user",
        "X_REMOTE_USER",
        "X-Remote-User ",
        "Remote-User",
        "REMOTE_USER",
        "HTTP_X_REMOTE_USER",
    ] {
        let name = name.trim();
        let forged = [(name, ALICE), ("depth", "0")];
        let nobody = dav(&Browser::new(), &gateway, "PROPFIND", "/", &forged, WHO).await;
        assert_eq!(nobody.status, 401, "{name}: {}", nobody.text());
        let answer = dav(&bob, &gateway, "PROPFIND", "/", &forged, WHO).await;
        assert_eq!(answer.status, 207, "{name}: {}", answer.text());
        assert!(answer.text().contains("/bob%40example.com/"), "{name}: {}", answer.text());
        assert!(!answer.text().contains("alice"), "{name}: {}", answer.text());
    }
    // The same header straight to the app does fool it: it is the gate that keeps it safe.
    let url = format!("http://127.0.0.1:{}/", app.port);
    let headers = [("X-Remote-User", ALICE), ("depth", "0")];
    let answer = try_fetch(None, "PROPFIND", &url, &headers, WHO.as_bytes().to_vec()).await.unwrap();
    assert!(answer.text().contains("alice%40example.com"), "{}", answer.text());
}
