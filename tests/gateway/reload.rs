//! SIGHUP: all or nothing, and no request is lost meanwhile.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const ALICE: &str = "alice@example.com";

fn config(app: &App, allow: &str) -> String {
    format!(
        "{HEAD}[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nallow = [{allow}]\n\
         [[site.app]]\nname = \"main\"\nhost = \"localhost\"\nupstream = \"{}\"\n\
         [[site.app.route]]\npath = \"/open/\"\naccess = \"public\"\n",
        app.url()
    )
}

/// How often the log has said this.
fn said(gateway: &Gateway, what: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(what)).count()
}

async fn reload(gateway: &Gateway, says: &str) {
    let before = said(gateway, says);
    gateway.signal("HUP");
    eventually(&format!("the log says {says:?}"), async || (said(gateway, says) > before).then_some(()))
        .await;
}

#[tokio::test]
async fn a_reload_under_load_fails_no_request_and_ends_no_session() {
    let app = App::start().await;
    let gateway = Gateway::start(config(&app, "\"alice@example.com\"").strip_prefix(HEAD).unwrap()).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;

    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (stop, served, url) = (Arc::clone(&stop), Arc::clone(&served), gateway.url("/open/load"));
        let cookie = alice.cookies("localhost");
        load.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let headers = [("cookie", cookie.as_str())];
                let answer = try_fetch(None, "GET", &url, &headers, Vec::new()).await.expect("an answer");
                assert_eq!(answer.status, 200);
                assert!(answer.text().contains(ALICE), "still signed in");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for round in 0..10 {
        let people = if round % 2 == 0 {
            "\"alice@example.com\", \"carol@example.com\""
        } else {
            "\"alice@example.com\""
        };
        gateway.place.write_config(&config(&app, people));
        let before = served.load(Ordering::Relaxed);
        reload(&gateway, " reloaded").await;
        eventually("requests go on", async || (served.load(Ordering::Relaxed) > before + 20).then_some(()))
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    load.join_all().await;
}

#[tokio::test]
async fn who_is_taken_off_the_list_is_out_and_who_is_put_on_it_gets_letters() {
    let app = App::start().await;
    let gateway = Gateway::start(config(&app, "\"alice@example.com\"").strip_prefix(HEAD).unwrap()).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    gateway.place.write_config(&config(&app, "\"carol@example.com\""));
    reload(&gateway, " reloaded").await;
    assert_ne!(alice.visit(&gateway.url("/")).await.status, 200);
    gateway.sign_in(&Browser::new(), "carol@example.com", &gateway.url("/")).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_configuration_and_says_why() {
    let app = App::start().await;
    let gateway = Gateway::start(config(&app, "\"alice@example.com\"").strip_prefix(HEAD).unwrap()).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let good = config(&app, "\"alice@example.com\"");
    for broken in [
        "this is = not [ toml".to_owned(),
        good.replace("allow =", "alow ="),
        good.replace("http://localhost:@PORT@", "not an address"),
        good.replace("[log]", "[tls]\ncertificate = \"@DIR@/none.pem\"\nkey = \"@DIR@/none.key\"\n[log]"),
        String::new(),
    ] {
        gateway.place.write_config(&broken);
        reload(&gateway, "not reloaded").await;
        alice.visit(&gateway.url("/")).await.expect(200);
    }
    assert!(gateway.log().contains("allow"), "the nearest known key is named");
    gateway.place.write_config(&format!("workers = 3\n{good}"));
    reload(&gateway, "workers has changed: restart linkgate").await;
    std::fs::remove_file(gateway.place.config()).unwrap();
    reload(&gateway, "not reloaded").await;
    alice.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn sigterm_lets_open_requests_finish_and_ends_with_0() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    Browser::new().visit(&gateway.url("/")).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}
