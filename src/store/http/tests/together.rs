//! Others who write: the organisation, another process of ours, another linkgate; and stores that move.

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::service::{Service, Tags};
use super::{Bench, contract};
use crate::store::transfer::{Delivery, Moved};
use crate::store::{LinkFilter, NewLink, Redeemed, Settings, Store, StoreError};

#[tokio::test]
async fn somebody_who_was_faster_loses_nothing_and_neither_do_we() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.service.state().meanwhile =
        Some(Box::new(|state| state.edit(|json| json["theirs"] = json!({"n": 1}))));
    bench.store.put_link(bench.link(2), None).await.unwrap();
    bench.service.state().meanwhile =
        Some(Box::new(|state| state.edit(|json| json["theirs"]["n"] = json!(2))));
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    let json = bench.service.state().json();
    assert_eq!((&json["theirs"]["n"], json["link-2"].is_object()), (&json!(2), true));
    assert_eq!(json["link-1"]["used_at"], "2023-11-14T22:13:20Z");
    assert_eq!(bench.live_sessions().await, 1);
}

#[tokio::test]
async fn who_never_gets_a_turn_is_told_so_and_nobody_comes_in() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.service.state().busy = true;
    let why = bench.try_redeem(&bench.store, 1).await.unwrap_err();
    assert!(matches!(&why, StoreError::Away(why) if why.contains("others keep writing")), "{why}");
    assert_eq!(bench.live_sessions().await, 0);
}

#[tokio::test]
async fn what_is_taken_away_between_our_reading_and_our_writing_lets_nobody_in() {
    for field in ["used_at", "revoked_at"] {
        let bench = Bench::new();
        bench.store.put_link(bench.link(1), None).await.unwrap();
        bench.service.state().meanwhile = Some(Box::new(move |state| {
            state.edit(|json| json["link-1"][field] = json!("2023-11-14T22:13:19Z"));
        }));
        let outcome = bench.redeem(1).await;
        assert!(!matches!(outcome, Redeemed::Redeemed(_)), "{outcome:?}");
        assert_eq!(bench.live_sessions().await, 0);
        assert_eq!(bench.service.state().json()["link-1"][field], "2023-11-14T22:13:19Z", "theirs stays");
    }
}

#[tokio::test]
async fn two_processes_on_one_ledger_lose_nothing_of_each_other_even_without_versions() {
    let bench = Bench::with(Tags::None);
    let other = bench.another();
    let mut tasks = JoinSet::new();
    for number in 0..60_u8 {
        let store = if number % 2 == 0 { bench.store.clone() } else { other.clone() };
        let link = bench.link(number);
        tasks.spawn(async move { store.put_link(link, None).await.unwrap() });
    }
    tasks.join_all().await;
    let json = bench.service.state().json();
    assert!((0..60).all(|number| json[format!("link-{number}")].is_object()));
    assert!(bench.service.state().reads < 61, "who wait together share a reading");
}

#[tokio::test]
async fn a_second_linkgate_is_refused_until_it_is_told_that_the_first_is_gone() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let second = contract::Bench::of(bench.service.of("second.db"), ());
    let why = second.store.sweep().await.unwrap_err();
    assert!(matches!(&why, StoreError::Invalid(why) if why.contains("linkgate store claim")), "{why}");
    let why = second.store.put_link(bench.link(2), None).await.unwrap_err();
    assert!(matches!(&why, StoreError::Away(why) if why.contains("another linkgate")), "{why}");
    assert!(bench.service.state().json()["link-2"].is_null());
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)), "the first goes on");

    second.store.claim().await.unwrap();
    second.store.sweep().await.unwrap();
    second.store.put_link(bench.link(2), None).await.unwrap();
    let why = bench.store.put_link(bench.link(3), None).await.unwrap_err();
    assert!(why.to_string().contains("another linkgate"), "now the first is the second: {why}");
    assert!(bench.store.sweep().await.is_err());

    let alone = Settings::Sqlite { path: bench.service.folder.path().join("alone.db") };
    let alone = contract::Bench::of(alone, ()).store.claim().await.unwrap_err();
    assert!(alone.to_string().contains("kind = \"http\""), "{alone}");
}

async fn moved(from: &Store, to: &Store) -> Result<(), StoreError> {
    let (out, mut records) = mpsc::channel::<Vec<Moved>>(1);
    let (sender, inner) = mpsc::channel(1);
    let carry = async move {
        while let Some(records) = records.recv().await {
            let _ = sender.send(Delivery::Records(records)).await;
        }
        let _ = sender.send(Delivery::Complete).await;
    };
    let (exported, (), imported) = tokio::join!(from.export(out), carry, to.import(inner));
    exported.unwrap();
    imported.map(drop)
}

#[tokio::test]
async fn links_that_come_from_another_store_are_told_to_the_service_or_nothing_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let old = contract::Bench::of(Settings::Sqlite { path: folder.path().join("old.db") }, ());
    for number in 1..=3 {
        old.store.put_link(NewLink { uses: Some(2), ..old.link(number) }, None).await.unwrap();
    }
    old.store.redeem([2; 32], old.redeemer(2)).await.unwrap();
    old.store.revoke_links(crate::store::Which::Ids(vec!["link-3".into()])).await.unwrap();

    // The first that this ledger ever says to the service is that it takes over another's links.
    let bench = Bench::new();
    bench.service.state().on_write = Some(super::service::Fault::Answer(500, "{}"));
    assert!(matches!(moved(&old.store, &bench.store).await, Err(StoreError::Away(_))));
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty());
    bench.service.state().on_write = None;
    moved(&old.store, &bench.store).await.unwrap();
    let json = bench.service.state().json();
    assert!(json["link-1"]["used_at"].is_null() && json["link-2"]["used_at"].is_string());
    assert!(json["link-3"].is_null(), "what has ended is told to nobody");
    assert_eq!(bench.live_sessions().await, 1);
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));

    // A machine that takes this one's place: same service, a new ledger.
    bench.service.state().edit(|json| json["link-2"]["revoked_at"] = json!(1));
    let next = contract::Bench::of(bench.service.of("next.db"), ());
    let why = moved(&bench.store, &next.store).await.unwrap_err();
    assert!(why.to_string().contains("linkgate store claim"), "{why}");
    next.store.claim().await.unwrap();
    moved(&bench.store, &next.store).await.unwrap();
    let links = next.store.list_links(LinkFilter::default()).await.unwrap();
    let revoked: Vec<_> = links.iter().filter(|l| l.revoked_at.is_some()).map(|l| l.id.as_str()).collect();
    assert_eq!(revoked, ["link-3", "link-2"], "what the service took away is not brought back");
    assert!(matches!(next.store.redeem([1; 32], next.redeemer(9)).await.unwrap(), Redeemed::Redeemed(_)));
}

#[tokio::test]
async fn a_service_that_drops_our_claim_is_told_again_and_one_with_weak_versions_is_taken_as_without() {
    let service = Service::start(Tags::Weak);
    let bench = contract::Bench::of(service.of("linkgate.db"), ());
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let before = service.state().json();
    let claim = before.as_object().unwrap().keys().find(|name| name.contains("-a000-")).unwrap().clone();
    for field in ["used_at", "revoked_at", "expires_at"] {
        assert!(before[&claim][field].is_string(), "it lets nobody in");
    }
    service.state().edit(|json| drop(json.as_object_mut().unwrap().remove(&claim)));
    bench.store.put_link(bench.link(2), None).await.unwrap();
    assert!(service.state().json()[&claim].is_object());
}

#[tokio::test]
async fn of_two_with_copies_of_one_ledger_the_one_that_began_last_goes_on_and_the_other_lets_nobody_in() {
    let bench = Bench::new();
    bench.store.admit().await.unwrap();
    for number in 1..=3 {
        bench.store.put_link(bench.link(number), None).await.unwrap();
    }
    let folder = bench.service.folder.path();
    let ledger = rusqlite::Connection::open(folder.join("linkgate.db")).unwrap();
    ledger.execute("VACUUM INTO ?1", [folder.join("copy.db").to_str().unwrap()]).unwrap();
    let earlier = bench.service.state().text.clone();
    let refused = |outcome: Result<(), StoreError>| {
        let why = outcome.unwrap_err().to_string();
        assert!(why.contains("copy of this ledger") && why.contains("linkgate store claim"), "{why}");
    };

    // The command line begins nothing; a server that starts does.
    let copy = contract::Bench::of(bench.service.of("copy.db"), ());
    bench.store.sweep().await.unwrap();
    copy.store.admit().await.unwrap();
    refused(bench.store.put_link(bench.link(4), None).await);
    refused(bench.try_redeem(&bench.store, 1).await.map(drop));
    refused(bench.store.admit().await);
    assert!(bench.store.trouble().contains("copy of this ledger"));
    assert_eq!(bench.live_sessions().await, 0);
    assert!(matches!(bench.try_redeem(&copy.store, 1).await.unwrap(), Redeemed::Redeemed(_)));
    assert_eq!(copy.store.trouble(), "");

    // Whoever is told to takes over.
    bench.store.claim().await.unwrap();
    assert!(matches!(bench.redeem(1).await, Redeemed::Used(_)), "the service remembers what the copy did");
    assert!(matches!(bench.redeem(2).await, Redeemed::Redeemed(_)));
    refused(bench.try_redeem(&copy.store, 3).await.map(drop));

    // A service that is put back to a state of before keeps nobody from going on.
    {
        let mut state = bench.service.state();
        (state.text, state.version) = (earlier, state.version + 1);
    }
    bench.store.put_link(bench.link(5), None).await.unwrap();
    refused(copy.store.put_link(bench.link(6), None).await);
    assert!(matches!(bench.redeem(2).await, Redeemed::Used(_)), "the ledger never forgets");

    // Nor does a server that begins with the same ledger while another finishes.
    let next = bench.another();
    next.admit().await.unwrap();
    bench.store.put_link(bench.link(7), None).await.unwrap();
    next.put_link(bench.link(8), None).await.unwrap();
}
