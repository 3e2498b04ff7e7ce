//! While the store does not answer nobody new comes in, and whoever is in goes on working; no restart is needed after.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn without_the_store_nobody_new_comes_in_and_who_is_in_goes_on() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (alice, other) = (Browser::new(), Browser::new());
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    other.visit(&gateway.url("/.linkgate/login")).await.expect(200);

    // Another process holds the file, as a backup that hangs would.
    let file = gateway.place.path().join("state/linkgate.db");
    let held = rusqlite::Connection::open(file).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fields = [("email", "bob@example.com"), ("return_to", "/")];
    let (login, start) = (gateway.url("/.linkgate/login"), gateway.url("/"));
    let (asked, passed) = tokio::join!(other.post_form(&login, &fields), alice.visit(&start));
    passed.expect(200);
    let page = asked.expect(503);
    assert!(!page.header("retry-after").is_empty(), "it says when to try again");
    assert!(page.text().contains("<h1>"), "a page, not a bare line: {}", page.text());

    held.execute_batch("ROLLBACK").unwrap();
    other.post_form(&login, &fields).await.expect(303);
    gateway.letter_to("bob@example.com").await;
}
