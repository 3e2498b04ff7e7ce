//! What is typed in a shell takes effect on the running server within one second.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::process::assert_within_a_second;
use std::time::Instant;

const ALICE: &str = "alice@example.com";

/// Runs the command, then measures how long the browser is still let in.
async fn out_within_a_second(gateway: &Gateway, browser: &Browser, command: &[&str]) {
    browser.visit(&gateway.url("/")).await.expect(200);
    gateway.run(command).await;
    let done = Instant::now();
    eventually(&format!("{command:?} takes effect"), async || {
        browser.visit(&gateway.url("/")).await.is_redirect().then_some(())
    })
    .await;
    assert_within_a_second(done);
}

#[tokio::test]
async fn session_revoke_ends_a_session_within_a_second() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/")).await;
    let list = gateway.run(&["session", "list", "--email", ALICE, "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list[0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();

    out_within_a_second(&gateway, &alice, &["session", "revoke", &id]).await;
    bob.visit(&gateway.url("/")).await.expect(200);
    out_within_a_second(&gateway, &bob, &["session", "revoke", "--email", "bob@example.com"]).await;
}

#[tokio::test]
async fn all_sessions_end_within_a_second() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/")).await;
    out_within_a_second(&gateway, &alice, &["session", "revoke", "--all"]).await;
    assert!(bob.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn a_rotated_key_is_no_reason_to_sign_in_anew_and_now_is() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    gateway.run(&["key", "rotate"]).await;
    alice.visit(&gateway.url("/")).await.expect(200);
    out_within_a_second(&gateway, &alice, &["key", "rotate", "--now"]).await;
    // And new links are signed with the new key at once.
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
}

#[tokio::test]
async fn links_made_by_hand_work_beside_a_running_server_and_while_it_is_stopped() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    for running in [true, false] {
        if !running {
            gateway.kill();
        }
        let made = gateway.run(&["link", "create", ALICE, "--expires", "30m", "--json"]).await;
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        if !running {
            gateway.restart().await;
        }
        let link = made["link"].as_str().unwrap();
        let browser = Browser::new();
        let page = browser.follow(link).await.expect(200);
        let token = page.field("token");
        let fields = [("token", token.as_str()), ("email", ALICE)];
        browser.post_form(&gateway.url("/.linkgate/verify"), &fields).await.expect(303);
        browser.visit(&gateway.url("/")).await.expect(200);
    }
    let refused = gateway.command(&["link", "create", "eve@evil.example"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("allow"), "{refused:?}");
}
