//! The organisation's own token service keeps the links: it can take them away, and while it is away nobody new comes in.

use crate::harness::app::App;
use crate::harness::browser::Browser;
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
    assert!(why.contains("another linkgate writes") && why.contains("linkgate store claim"), "{why}");

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
