//! The real Traefik before an app, asking by `forwardAuth`: the lines of docs/traefik.md as they stand there.

use crate::harness::app::App;
use crate::harness::eventually;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::TRAEFIK;
use crate::harness::proxies::traefik;
use std::process::Command;

// All but two: for how long Traefik waits for a silent linkgate cannot be set (30 seconds), and it cannot take one cookie
// of several out.
promises!(traefik and no_spelling_of_an_identity_reaches_the_app);

/// With the middleware of the page for apps without cookies.
fn cookieless(ground: &Ground<'_>) -> Command {
    let command = traefik(ground);
    let own = std::fs::read_to_string(ground.place.path().join("linkgate.yml")).unwrap();
    let line =
        TRAEFIK.split("add `cookieless:").nth(1).and_then(|rest| rest.split('`').next()).expect("a line");
    let own = own
        .replacen("  middlewares:\n", &format!("  middlewares:\n    cookieless:{line}\n"), 1)
        .replace("middlewares: [linkgate]", "middlewares: [linkgate, cookieless]");
    ground.write("linkgate.yml", &own);
    command
}

#[tokio::test]
async fn an_app_without_cookies_sets_none_and_ours_pass() {
    let app = App::start().await;
    let address = app.url();
    let guard = Guard::with(cookieless, address.trim_start_matches("http://"), "idle = \"1m\"").await;
    let alice = guard.signed_in(ALICE).await;
    let renewed = eventually("the session is carried on", async || {
        let answer = alice.visit(&guard.url("/cookies")).await.expect(200);
        let cookies = answer.header("set-cookie");
        assert!(!cookies.contains("stolen") && !cookies.contains("first="), "{cookies}");
        (!cookies.is_empty()).then_some(cookies)
    })
    .await;
    assert!(renewed.starts_with("__Host-linkgate="), "{renewed}");
}

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(TRAEFIK);
}
