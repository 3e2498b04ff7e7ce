//! A store moves into another, of the same kind or not, and nobody is signed out by it.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::several::Redis;
use crate::harness::token_service::TokenService;
use crate::store_http::site;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// Stops the gateway, moves what it knows into the store that `store` leads to, and starts it there.
async fn moved(gateway: &Gateway, app: &App, store: &str) {
    gateway.kill();
    let file = gateway.place.path().join("store.export");
    let file = file.to_str().unwrap();
    gateway.run(&["store", "export", file]).await;
    // The secret that the first start made; where the store is Redis it has to be named.
    let secret = "secret_file = \"@DIR@/state/secret\"";
    gateway.place.write_config(&format!("{secret}{HEAD}{store}{}", site(app)));
    let said = gateway.run(&["store", "import", file]).await;
    assert!(said.starts_with("imported: "), "{said}");
    std::fs::remove_file(file).unwrap();
    gateway.restart().await;
}

/// Who was in is in, who was out is out, and a link is as good as it was.
async fn everybody_is_as_they_were(gateway: &Gateway, alice: &Browser, bob: &Browser, link: &str) {
    assert_eq!(alice.follow(&gateway.url("/page")).await.expect(200).url.path(), "/page");
    let page = bob.follow(&gateway.url("/page")).await.expect(200);
    assert!(page.url.path().ends_with("/.linkgate/login"), "revoked is revoked: {}", page.url);
    let carol = Browser::new();
    carol.visit(&gateway.url("/.linkgate/login")).await.expect(200);
    let asked = carol.follow(link).await.expect(200);
    assert!(asked.text().contains("alice") || asked.text().contains("a…e"), "{}", asked.text());
}

#[tokio::test]
async fn who_is_signed_in_stays_so_when_the_store_moves_and_who_was_put_out_stays_out() {
    let (app, service) = (App::start().await, TokenService::start().await);
    let gateway = Gateway::start_with(Place::new(), &format!("{HEAD}{}", site(&app))).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    gateway.sign_in(&bob, BOB, &gateway.url("/")).await;
    gateway.run(&["session", "revoke", "--email", BOB]).await;
    let made = gateway.run(&["link", "create", ALICE, "--expires", "never", "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = made["link"].as_str().unwrap();

    moved(&gateway, &app, "[store]\npath = \"@DIR@/state/second.db\"\n").await;
    everybody_is_as_they_were(&gateway, &alice, &bob, link).await;

    let http = format!("{}path = \"@DIR@/state/third.db\"\n", service.store());
    moved(&gateway, &app, &http).await;
    everybody_is_as_they_were(&gateway, &alice, &bob, link).await;
    assert_eq!(service.links_of(ALICE).len(), 1, "the link that is still good is held there now");

    let redis = Redis::start().await;
    let shared = format!("[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:{}\"\n", redis.port);
    moved(&gateway, &app, &shared).await;
    everybody_is_as_they_were(&gateway, &alice, &bob, link).await;
    gateway.run(&["session", "list"]).await;

    moved(&gateway, &app, "[store]\npath = \"@DIR@/state/fourth.db\"\n").await;
    everybody_is_as_they_were(&gateway, &alice, &bob, link).await;
    // Keys, people and generations came along: new sessions are as good as old ones.
    gateway.sign_in(&bob, BOB, &gateway.url("/")).await;
}
