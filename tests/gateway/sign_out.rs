//! Signing out ends a session on the server, and signing out everywhere all of a person's.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn signing_out_ends_the_session_even_for_who_kept_the_cookie() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/")).await;
    let kept = browser.cookie("localhost", "linkgate");

    let page = browser.visit(&gateway.url("/.linkgate/logout")).await.expect(200);
    assert!(page.text().contains("<form"), "a GET only shows the button");
    browser.visit(&gateway.url("/")).await.expect(200);

    browser.post_form(&gateway.url("/.linkgate/logout"), &[]).await.expect(303);
    assert_eq!(browser.cookie("localhost", "linkgate"), "");
    let thief = Browser::new();
    thief.set_cookie("localhost", "linkgate", &kept);
    assert!(thief.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn everywhere_means_every_device_and_nobody_else() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone, bob) = (Browser::new(), Browser::new(), Browser::new());
    gateway.sign_in(&desk, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&phone, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/")).await;

    desk.post_form(&gateway.url("/.linkgate/logout"), &[("everywhere", "1")]).await.expect(303);
    assert!(desk.visit(&gateway.url("/")).await.is_redirect());
    assert!(phone.visit(&gateway.url("/")).await.is_redirect());
    bob.visit(&gateway.url("/")).await.expect(200);

    // And she can come back at once.
    gateway.sign_in(&desk, ALICE, &gateway.url("/")).await;
    desk.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn one_device_is_ended_from_another() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone, bob) = (Browser::new(), Browser::new(), Browser::new());
    gateway.sign_in(&phone, ALICE, &gateway.url("/")).await;
    let id = phone.visit(&gateway.url("/.linkgate/")).await.expect(200).field("id");
    gateway.sign_in(&desk, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&bob, "bob@example.com", &gateway.url("/")).await;

    bob.post_form(&gateway.url("/.linkgate/sessions/end"), &[("id", &id)]).await;
    phone.visit(&gateway.url("/")).await.expect(200);
    desk.post_form(&gateway.url("/.linkgate/sessions/end"), &[("id", &id)]).await.expect(303);
    assert!(phone.visit(&gateway.url("/")).await.is_redirect());
    desk.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn a_session_survives_a_restart_and_a_sign_out_does_too() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (desk, phone) = (Browser::new(), Browser::new());
    gateway.sign_in(&desk, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&phone, ALICE, &gateway.url("/")).await;
    let kept = phone.cookie("localhost", "linkgate");
    phone.post_form(&gateway.url("/.linkgate/logout"), &[]).await.expect(303);
    gateway.kill();
    gateway.restart().await;
    desk.visit(&gateway.url("/")).await.expect(200);
    phone.set_cookie("localhost", "linkgate", &kept);
    assert!(phone.visit(&gateway.url("/")).await.is_redirect());
}
