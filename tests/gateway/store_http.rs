//! The organisation's own token service keeps the links: it can take them away, and while it is away nobody new comes in.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::token_service::TokenService;
use serde_json::Value;
use serde_json::json;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

pub fn site(app: &App) -> String {
    format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{}\"\nallow = [\"@example.com\"]\n",
        app.url()
    )
}

async fn start(app: &App, service: &TokenService) -> Gateway {
    Gateway::start_with(Place::new(), &format!("{HEAD}{}{}", service.store(), site(app))).await
}

#[tokio::test]
async fn people_sign_in_by_links_that_the_organisation_holds_and_can_take_away() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let gateway = start(&app, &service).await;
    let alice = Browser::new();
    let letter = gateway.ask(&alice, ALICE, &gateway.url("/page")).await;
    let (id, record) = service.links_of(ALICE).pop().unwrap();
    assert_eq!((&record["single_use"], &record["used_at"]), (&json!(true), &Value::Null));
    assert!(!letter.link.contains(record["token_hash"].as_str().unwrap()), "it holds the hash alone");
    assert_eq!(alice.follow(&letter.link).await.expect(200).url.path(), "/page");
    assert!(service.links_of(ALICE)[0].1["used_at"].is_string());

    // It gives the use back: the link stays used.
    service.edit(&id, "used_at", Value::Null);
    Browser::new().follow(&letter.link).await;
    let live = gateway.run(&["session", "list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&live).unwrap().as_array().unwrap().len(), 1);

    // It takes Bob's link away.
    let bob = Browser::new();
    let letter = gateway.ask(&bob, BOB, &gateway.url("/page")).await;
    let (id, _) = service.links_of(BOB).pop().unwrap();
    service.edit(&id, "revoked_at", json!("2026-01-01T00:00:00Z"));
    let page = bob.follow(&letter.link).await;
    assert_ne!(page.url.path(), "/page", "{}", page.text());
    let revoked = gateway.run(&["link", "list", "--state", "revoked", "--json"]).await;
    assert!(revoked.contains(&id), "{revoked}");

    // A link made by hand beside the running gateway goes there too, and so does its end.
    let made = gateway.run(&["link", "create", BOB, "--json"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let record = |id: &Value| service.links_of(BOB).into_iter().find(|(name, _)| id == name).unwrap().1;
    assert!(record(&made["id"])["revoked_at"].is_null());
    gateway.run(&["link", "revoke", made["id"].as_str().unwrap()]).await;
    assert!(record(&made["id"])["revoked_at"].is_string());
}

#[tokio::test]
async fn while_the_token_service_is_away_nobody_new_comes_in_and_who_is_in_goes_on() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let gateway = start(&app, &service).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let letter = gateway.ask(&bob, BOB, &gateway.url("/page")).await;

    service.fail(true);
    let other = Browser::new();
    other.visit(&gateway.url("/.linkgate/login")).await.expect(200);
    let fields = [("email", "carol@example.com"), ("return_to", "/")];
    let page = other.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(503);
    assert!(!page.header("retry-after").is_empty(), "it says when to try again");
    assert!(page.text().contains("<h1>"), "a page, not a bare line: {}", page.text());
    // And it says so to a stranger: who may come in must not show.
    let strange = [("email", "mallory@elsewhere.test"), ("return_to", "/")];
    Browser::new().post_form(&gateway.url("/.linkgate/login"), &strange).await.expect(503);
    bob.follow(&letter.link).await.expect(503);
    alice.visit(&gateway.url("/")).await.expect(200);

    // A start does not need it either.
    gateway.kill();
    gateway.restart().await;
    alice.visit(&gateway.url("/")).await.expect(200);

    service.fail(false);
    assert_eq!(bob.follow(&letter.link).await.expect(200).url.path(), "/page", "nothing was spent meanwhile");
    other.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
    gateway.letter_to("carol@example.com").await;
}

/// What `/readyz` says, which is 200 all the while: whether all is well, and why not.
async fn readiness(gateway: &Gateway) -> (bool, String) {
    let url = format!("http://127.0.0.1:{}/readyz", gateway.place.monitor);
    let said = try_fetch(None, "GET", &url, &[], Vec::new()).await.unwrap().expect(200).json();
    assert_eq!(said["ready"], true);
    let check = &said["checks"][0];
    (check["ok"] == true, check["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn readyz_tells_that_the_token_service_is_away_and_that_it_is_back_though_nobody_asks() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let gateway = start(&app, &service).await;
    assert_eq!(readiness(&gateway).await, (true, "answers".to_owned()));
    service.fail(true);
    let fields = [("email", ALICE), ("return_to", "/")];
    let alice = Browser::new();
    alice.visit(&gateway.url("/.linkgate/login")).await.expect(200);
    alice.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(503);
    let (ok, why) = readiness(&gateway).await;
    assert!(!ok && why.contains("502") && why.contains("nobody new comes in"), "{why}");
    // One that starts meanwhile says the same.
    gateway.kill();
    gateway.restart().await;
    assert!(!readiness(&gateway).await.0);
    service.fail(false);
    eventually("it has asked again by itself", async || readiness(&gateway).await.0.then_some(())).await;
    alice.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
}

#[tokio::test]
async fn a_machine_that_was_copied_and_started_beside_the_first_is_noticed() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let first = start(&app, &service).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    first.sign_in(&alice, ALICE, &first.url("/")).await;
    let letter = first.ask(&bob, BOB, &first.url("/page")).await;
    let place = Place::new();
    let copied = tokio::process::Command::new("cp")
        .arg("-a")
        .arg(first.place.path().join("state"))
        .arg(place.path())
        .status()
        .await
        .unwrap();
    assert!(copied.success());
    let second = Gateway::start_with(place, &format!("{HEAD}{}{}", service.store(), site(&app))).await;
    // The one that began last goes on; the other lets nobody new in, and says why.
    bob.follow(&letter.link).await.expect(503);
    alice.visit(&first.url("/")).await.expect(200);
    let (ok, why) = readiness(&first).await;
    assert!(!ok && why.contains("copy of this ledger") && why.contains("linkgate store claim"), "{why}");
    let carol = Browser::new();
    second.sign_in(&carol, "carol@example.com", &second.url("/")).await;
    // Told to, beside the running server, the first takes over, and the copy is shut out.
    first.run(&["store", "claim"]).await;
    assert_eq!(bob.follow(&letter.link).await.expect(200).url.path(), "/page");
    assert!(readiness(&first).await.0);
    let fields = [("email", ALICE), ("return_to", "/")];
    carol.post_form(&second.url("/.linkgate/login"), &fields).await.expect(503);
    assert!(readiness(&second).await.1.contains("copy of this ledger"));
}

#[tokio::test]
async fn a_second_linkgate_on_one_token_service_does_not_start_until_it_is_told_to_take_over() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let first = start(&app, &service).await;
    let place = Place::new();
    place.write_config(&format!("{HEAD}{}{}", service.store(), site(&app)));
    let second = || async {
        let program = env!("CARGO_BIN_EXE_linkgate");
        let run = tokio::process::Command::new(program)
            .args(["--config", place.config().to_str().unwrap(), "serve"])
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(crate::harness::PATIENCE, run).await.expect("it ends by itself").unwrap()
    };
    // The first has said at its start that it writes here.
    let refused = second().await;
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("another linkgate") && why.contains("linkgate store claim"), "{why}");

    first.kill();
    let claim = tokio::process::Command::new(env!("CARGO_BIN_EXE_linkgate"))
        .args(["--config", place.config().to_str().unwrap(), "store", "claim"])
        .output()
        .await
        .unwrap();
    assert!(claim.status.success(), "{}", String::from_utf8_lossy(&claim.stderr));
    let second = Gateway::start_with(place, &format!("{HEAD}{}{}", service.store(), site(&app))).await;
    let alice = Browser::new();
    second.sign_in(&alice, ALICE, &second.url("/")).await;
    eventually("the app is reached", async || (!app.seen().is_empty()).then_some(())).await;
}
