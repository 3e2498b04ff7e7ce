//! What the service says about a link, and what it is worth: it can take away, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::Bench;
use super::service::Tags;
use crate::store::{CodeRedeemed, LinkFilter, LinkState, NewLink, Redeemed, SessionFilter, Which};

/// Text that no JSON writer of ours would write so.
const THEIRS: &str = r#"{"b7a1":{"email" : "someone@example.net", "count":1.50, "big":123456789012345678901, "x":"\u00e9"},"zz":[1 , 2],"#;

#[tokio::test]
async fn a_link_is_written_as_the_organisation_writes_its_own() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.store.put_link(NewLink { uses: None, expires_at: None, ..bench.link(2) }, None).await.unwrap();
    let json = bench.service.state().json();
    let owner = json["link-1"]["linkgate"].as_str().unwrap().to_owned();
    assert_eq!(
        json["link-1"],
        json!({
            "email": "alice@example.com", "token_hash": "01".repeat(32), "created_at": "2023-11-14T22:13:20Z",
            "expires_at": "2023-11-14T22:23:20Z", "single_use": true, "used_at": null, "revoked_at": null,
            "linkgate": owner
        })
    );
    assert_eq!((&json["link-2"]["single_use"], &json["link-2"]["expires_at"]), (&json!(false), &Value::Null));
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    assert_eq!(bench.store.revoke_links(Which::Ids(vec!["link-2".into()])).await.unwrap(), 1);
    let json = bench.service.state().json();
    assert_eq!(json["link-1"]["used_at"], "2023-11-14T22:13:20Z");
    assert_eq!(json["link-2"]["revoked_at"], "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn what_is_not_ours_stays_byte_for_byte() {
    let bench = Bench::new();
    {
        let mut state = bench.service.state();
        state.text = format!("{}}}", THEIRS.trim_end_matches(','));
        state.version += 1;
    }
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let text = {
        let mut state = bench.service.state();
        // Our own record, with a field that we do not know, as text of theirs.
        let rest = state.text.split_once("\"link-1\"").unwrap().1.to_owned();
        state.text = format!("{THEIRS}\"link-1\"{}", rest.replacen('{', "{\"note\" :\t1.0,", 1));
        state.version += 1;
        state.text.clone()
    };
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    bench.store.sweep().await.unwrap();
    let after = bench.service.state().text.clone();
    assert!(after.starts_with(THEIRS), "{after}");
    assert!(after.contains("\"note\":1.0,"), "{after}");
    assert_eq!(after.matches("link-1").count(), text.matches("link-1").count());
}

#[tokio::test]
async fn what_the_service_took_away_lets_nobody_in_and_does_not_come_back() {
    let past = "2023-11-14T22:13:19Z";
    for (field, value, state) in [
        ("revoked_at", json!(past), LinkState::Revoked),
        ("revoked_at", json!(1), LinkState::Revoked),
        ("used_at", json!(past), LinkState::Used),
        ("used_at", json!(""), LinkState::Used),
        ("expires_at", json!(past), LinkState::Expired),
        ("expires_at", json!(1_699_999_999), LinkState::Expired),
    ] {
        let bench = Bench::new();
        bench.store.put_link(bench.link(1), None).await.unwrap();
        let before = bench.service.state().text.clone();
        bench.service.state().edit(|json| json["link-1"][field] = value.clone());
        let link = match (bench.redeem(1).await, state) {
            (Redeemed::Revoked(link), LinkState::Revoked)
            | (Redeemed::Used(link), LinkState::Used)
            | (Redeemed::Expired(link), LinkState::Expired) => link,
            (other, _) => panic!("{field} {value}: {other:?}"),
        };
        assert_eq!(link.state(bench.clock.now()), state);
        // The service takes it back. We do not.
        bench.service.state().edit(|json| *json = serde_json::from_str(&before).unwrap());
        assert!(!matches!(bench.redeem(1).await, Redeemed::Redeemed(_)), "{field} {value}");
        assert_eq!(bench.live_sessions().await, 0);
    }
}

#[tokio::test]
async fn a_record_that_is_missing_or_disagrees_lets_nobody_in_and_takes_nothing_from_us() {
    for (why, edit) in [
        (
            "gone",
            Box::new(|json: &mut Value| drop(json.as_object_mut().unwrap().remove("link-1")))
                as Box<dyn FnOnce(&mut Value)>,
        ),
        ("no object", Box::new(|json| json["link-1"] = json!("x"))),
        ("another address", Box::new(|json| json["link-1"]["email"] = json!("bob@example.com"))),
        ("no address", Box::new(|json| json["link-1"]["email"] = json!(7))),
        ("another token", Box::new(|json| json["link-1"]["token_hash"] = json!("02".repeat(32)))),
        ("no token", Box::new(|json| json["link-1"]["token_hash"] = Value::Null)),
        ("later", Box::new(|json| json["link-1"]["expires_at"] = json!("2023-11-14T22:23:22Z"))),
        ("never", Box::new(|json| json["link-1"]["expires_at"] = Value::Null)),
        ("no date", Box::new(|json| json["link-1"]["expires_at"] = json!("soon"))),
        ("no flag", Box::new(|json| json["link-1"]["single_use"] = json!("yes"))),
    ] {
        let bench = Bench::new();
        bench.store.put_link(bench.link(1), None).await.unwrap();
        let good = bench.service.state().text.clone();
        bench.service.state().edit(edit);
        assert_eq!(bench.redeem(1).await, Redeemed::Unknown, "{why}");
        bench.store.sweep().await.unwrap();
        bench.service.state().edit(|json| *json = serde_json::from_str(&good).unwrap());
        let kept = bench.store.peek_link([1; 32]).await.unwrap().unwrap().state(bench.clock.now());
        if why == "gone" || why == "no object" || why.ends_with("address") || why.ends_with("token") {
            assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)), "{why}: {kept:?}");
        }
        assert_eq!(kept, LinkState::Active, "{why}");
    }
}

#[tokio::test]
async fn the_service_can_neither_make_a_link_nor_give_a_use_back() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let fresh = bench.service.state().text.clone();
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    {
        // It forgets that the link was used, and adds one of its own that looks like ours.
        let mut state = bench.service.state();
        state.text = fresh;
        state.edit(|json| {
            let mut forged = json["link-1"].clone();
            forged["token_hash"] = json!("09".repeat(32));
            json["link-9"] = forged;
        });
    }
    assert!(matches!(bench.redeem(1).await, Redeemed::Used(_)));
    assert_eq!(bench.redeem(9).await, Redeemed::Unknown);
    assert_eq!(bench.live_sessions().await, 1);
    bench.store.sweep().await.unwrap();
    assert_eq!(
        bench.service.state().json()["link-1"]["used_at"],
        "2023-11-14T22:13:20Z",
        "and is told again"
    );
}

#[tokio::test]
async fn a_shorter_life_counts_and_a_link_of_many_uses_can_be_made_one_of_one() {
    let bench = Bench::new();
    bench.store.put_link(NewLink { uses: Some(3), ..bench.link(1) }, None).await.unwrap();
    bench.service.state().edit(|json| {
        json["link-1"]["expires_at"] = json!("2023-11-14T22:15:20+00:00");
        json["link-1"]["token_hash"] = json!("01".repeat(32).to_uppercase());
        json["link-1"]["email"] = json!("ALICE@Example.com".to_lowercase());
    });
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    let second = bench.store.redeem([1; 32], bench.redeemer(50)).await.unwrap();
    assert!(matches!(second, Redeemed::Redeemed(_)));
    bench.service.state().edit(|json| json["link-1"]["single_use"] = json!(true));
    let third = bench.store.redeem([1; 32], bench.redeemer(51)).await.unwrap();
    assert!(matches!(third, Redeemed::Used(_)), "{third:?}");

    bench.store.put_link(bench.link(2), None).await.unwrap();
    bench.service.state().edit(|json| json["link-2"]["expires_at"] = json!("2023-11-14T22:15:20Z"));
    bench.clock.advance(Duration::from_mins(2));
    assert!(matches!(bench.redeem(2).await, Redeemed::Expired(_)));
}

#[tokio::test]
async fn a_code_is_worth_what_its_link_is_worth() {
    let bench = Bench::new();
    bench.store.put_link(bench.link_with_code(1, 7), None).await.unwrap();
    bench.service.state().edit(|json| json["link-1"]["revoked_at"] = json!(1));
    let code = async || bench.store.redeem_code("wiki", [100; 32], [7; 32], bench.redeemer(1)).await.unwrap();
    assert_eq!(code().await, CodeRedeemed::None);
    bench.store.put_link(bench.link_with_code(2, 7), None).await.unwrap();
    let CodeRedeemed::Redeemed(link) = code().await else { panic!("refused") };
    assert_eq!(link.id, "link-2");
    assert_eq!(bench.service.state().json()["link-2"]["used_at"], "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn what_the_service_took_away_is_in_our_lists_after_a_sweep() {
    let bench = Bench::with(Tags::None);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.store.put_link(bench.link(2), None).await.unwrap();
    bench.service.state().edit(|json| json["link-1"]["revoked_at"] = json!("2023-11-14T22:13:20Z"));
    bench.store.sweep().await.unwrap();
    let revoked = LinkFilter { state: Some(LinkState::Revoked), ..LinkFilter::default() };
    let listed = bench.store.list_links(revoked).await.unwrap();
    assert_eq!(listed.iter().map(|link| link.id.as_str()).collect::<Vec<_>>(), ["link-1"]);
}

#[tokio::test]
async fn our_own_records_leave_the_service_when_we_have_forgotten_them_and_others_never() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.store.put_link(NewLink { expires_at: None, ..bench.link(2) }, None).await.unwrap();
    bench.service.state().edit(|json| {
        let mut theirs = json["link-1"].clone();
        theirs.as_object_mut().unwrap().remove("linkgate");
        json["theirs"] = theirs;
    });
    bench.days(8);
    bench.store.sweep().await.unwrap();
    let json = bench.service.state().json();
    let names: Vec<&String> =
        json.as_object().unwrap().keys().filter(|name| !name.contains("-a000-")).collect();
    assert_eq!(names, ["link-2", "theirs"]);
    assert!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().is_empty());
}
