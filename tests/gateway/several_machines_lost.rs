//! Sessions whose records Redis has lost, because it was emptied or an old backup was put back: people signed in stay so,
//! and can be put out all the same.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::several::ALICE;
use crate::harness::several::Redis;
use crate::harness::several::Several;

async fn out_at_both(several: &Several, who: &Browser, what: &str) {
    for machine in 0..2 {
        eventually(what, async || (several.status_at(machine, who).await != 200).then_some(())).await;
    }
}

#[tokio::test]
async fn who_is_signed_in_by_a_session_that_redis_has_lost_can_be_put_out_by_address_and_by_id() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 2, &app).await;
    let (alice, bob, carol) = (Browser::new(), Browser::new(), Browser::new());
    several.front.aim(0);
    several.sign_in(&alice, ALICE).await;
    several.sign_in(&bob, "bob@example.com").await;
    several.sign_in(&carol, "carol@example.org").await;
    let list = several.machines[0].run(&["session", "list", "--email", "bob@example.com", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list[0]["id"].as_str().unwrap().to_owned();
    redis.cli(&["flushall"]);
    eventually("Redis has been told the keys again", async || {
        (redis.cli(&["exists", "linkgate:{standing}:epochs"]).trim() == "1").then_some(())
    })
    .await;
    for browser in [&alice, &bob, &carol] {
        assert_eq!(several.status_at(1, browser).await, 200, "nobody is put out by it");
    }
    assert_eq!(several.machines[0].run(&["session", "list", "--json"]).await.trim(), "[]");

    assert_eq!(several.machines[0].run(&["session", "revoke", "--email", ALICE]).await, "0 ended\n");
    out_at_both(&several, &alice, "Alice is out").await;
    let revoked = several.machines[1].command(&["session", "revoke", &id, "no id"]).await;
    let said = String::from_utf8_lossy(&revoked.stderr);
    assert!(revoked.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&revoked.stdout), "0 ended\n");
    assert!(said.contains(&format!("{id}: no record of it; it is refused from now on")), "{said}");
    assert!(said.contains("no id: no session has such an id"), "{said}");
    out_at_both(&several, &bob, "Bob is out").await;
    for machine in 0..2 {
        assert_eq!(several.status_at(machine, &carol).await, 200, "and nobody else");
    }
    // Whoever was put out may come back, and is listed.
    several.sign_in(&alice, ALICE).await;
    assert_eq!(several.status_at(1, &alice).await, 200);
    let list = several.machines[1].run(&["session", "list", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["email"]), (1, &ALICE.into()));
    let again = several.machines[1].run(&["session", "revoke", "--email", ALICE]).await;
    assert_eq!(again, "1 ended\n");
}
