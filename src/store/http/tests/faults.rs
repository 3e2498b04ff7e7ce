//! A service that fails or lies: nobody comes in, nothing of ours is lost, and nobody waits for longer than was said.

use std::time::{Duration, Instant};

use super::service::{Fault, Service, TOKEN, Tags};
use super::{Bench, contract};
use crate::clock::Clock;
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{
    HttpSettings, LinkFilter, LinkState, Redeemed, ServiceAddress, Settings, Store, StoreError, Which,
};

fn open(settings: HttpSettings) -> Result<Store, StoreError> {
    Store::open(&Settings::Http(settings), &Clock::system(), &Random::system())
}

/// Why the service cannot be used.
fn away<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Away(why)) => {
            assert!(!why.contains(TOKEN), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whatever_goes_wrong_with_reading_nothing_is_spent_and_the_cure_is_said() {
    let bench = Bench::new();
    bench.store.put_link(bench.link_with_code(1, 7), None).await.unwrap();
    for (fault, words) in [
        (Fault::Answer(500, "{}"), "500 Internal Server Error"),
        (Fault::Answer(401, "{}"), "put one that it takes into store.token_file"),
        (Fault::Answer(403, "{}"), "store.token_file"),
        (Fault::Answer(404, "{}"), "correct store.url"),
        (Fault::Answer(302, "{}"), "write the address that it means in store.url"),
        (Fault::Answer(204, ""), "204"),
        (Fault::Answer(200, ""), "no JSON object"),
        (Fault::Answer(200, "{\"link-1\":"), "no JSON object"),
        (Fault::Answer(200, "[]"), "no JSON object"),
        (Fault::Answer(200, "{\"a\":{},\"a\":{}}"), "a name stands twice"),
        (Fault::Answer(200, "<html>"), "is store.url the address of the token service?"),
        (Fault::Truncated, "broke off"),
        (Fault::Endless, "too many for one document"),
    ] {
        bench.service.state().on_read = Some(fault);
        let why = away(bench.store.put_link(bench.link(2), Some(bench.letter("letter"))).await);
        assert!(why.contains(words), "{words}: {why}");
        away(bench.try_redeem(&bench.store, 1).await);
        away(bench.store.redeem_code("wiki", [100; 32], [7; 32], bench.redeemer(7)).await);
    }
    assert_eq!(bench.live_sessions().await, 0);
    assert!(bench.store.list_letters().await.unwrap().is_empty());
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 1);
    // It needs no restart.
    bench.service.state().on_read = None;
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    bench.store.put_link(bench.link(2), None).await.unwrap();
}

#[tokio::test]
async fn a_redemption_that_the_service_did_not_confirm_lets_nobody_in_and_stays_spent() {
    for fault in
        [Fault::Answer(500, "{}"), Fault::Answer(401, "{}"), Fault::Answer(200, "no JSON"), Fault::Truncated]
    {
        let bench = Bench::new();
        bench.store.put_link(bench.link(1), None).await.unwrap();
        bench.service.state().on_write = Some(fault);
        away(bench.try_redeem(&bench.store, 1).await);
        assert_eq!(bench.live_sessions().await, 0);
        assert_eq!(bench.service.state().json()["link-1"]["used_at"], serde_json::Value::Null);
        bench.service.state().on_write = None;
        assert!(matches!(bench.redeem(1).await, Redeemed::Used(_)));
        bench.store.sweep().await.unwrap();
        assert_eq!(bench.service.state().json()["link-1"]["used_at"], "2023-11-14T22:13:20Z");
    }
}

#[tokio::test]
async fn a_link_that_the_service_did_not_take_is_not_promised_and_not_mailed() {
    let bench = Bench::new();
    for fault in [Fault::Answer(500, "{}"), Fault::Answer(200, "<html>"), Fault::Answer(413, "{}")] {
        bench.service.state().on_write = Some(fault);
        away(bench.store.put_link(bench.link(1), Some(bench.letter("letter"))).await);
    }
    assert!(bench.store.list_letters().await.unwrap().is_empty());
    assert_eq!(bench.redeem(1).await, Redeemed::Unknown);
    // What it says it took, but did not, lets nobody in.
    bench.service.state().on_write = Some(Fault::Lie);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    assert_eq!(bench.redeem(1).await, Redeemed::Unknown);
}

#[tokio::test]
async fn whether_a_link_is_meant_or_pretended_cannot_be_told_from_the_service_or_from_its_faults() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let journeys = || {
        let state = bench.service.state();
        (state.reads, state.writes, state.json())
    };
    let before = journeys();
    bench.store.pretend_link(bench.link(2), Some(bench.letter("letter"))).await.unwrap();
    let after = journeys();
    assert_eq!((after.0, after.1), (before.0 + 1, before.1 + 1), "one reading, one writing");
    assert_eq!(after.2, before.2, "what was there is there, and nothing else");
    for fault in [Fault::Answer(500, "{}"), Fault::Answer(200, "<html>")] {
        bench.service.state().on_write = Some(fault.clone());
        away(bench.store.pretend_link(bench.link(2), None).await);
        bench.service.state().on_write = None;
        bench.service.state().on_read = Some(fault);
        away(bench.store.pretend_link(bench.link(2), None).await);
        bench.service.state().on_read = None;
    }
    assert!(bench.store.peek_link([2; 32]).await.unwrap().is_none());
    assert!(bench.store.list_letters().await.unwrap().is_empty());
}

#[tokio::test]
async fn where_no_record_has_room_any_more_a_pretended_link_has_none_either() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.service.state().edit(|all| {
        let room = (32 << 20) - all.to_string().len() - 200;
        all["link-1"]["note"] = "a".repeat(room).into();
    });
    let why = away(bench.store.put_link(bench.link(2), None).await);
    assert_eq!(away(bench.store.pretend_link(bench.link(3), None).await), why);
}

#[tokio::test]
async fn a_second_click_is_let_in_only_after_the_service_has_heard_of_the_first() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    assert!(matches!(bench.redeem(1).await, Redeemed::Redeemed(_)));
    let Redeemed::Used(link) = bench.redeem(1).await else { panic!("used") };
    let session = link.session.unwrap();
    bench.service.state().on_read = Some(Fault::Answer(503, "{}"));
    away(bench.store.resume([1; 32], session).await);
    bench.service.state().on_read = None;
    assert_eq!(bench.store.resume([1; 32], session).await.unwrap().unwrap().id, session);
}

#[tokio::test]
async fn a_revocation_is_in_force_at_once_and_told_when_the_service_answers_again() {
    let bench = Bench::new();
    for number in 1..=2 {
        bench.store.put_link(bench.link(number), None).await.unwrap();
    }
    bench.service.state().on_read = Some(Fault::Answer(503, "{}"));
    assert_eq!(bench.store.revoke_links(Which::Ids(vec!["link-1".into()])).await.unwrap(), 1);
    assert!(matches!(bench.redeem(1).await, Redeemed::Revoked(_)), "the ledger alone decides");
    bench.store.sweep().await.unwrap();
    bench.service.state().on_read = None;
    // The next round tells what was missed, whatever it is about.
    bench.store.put_link(bench.link(3), None).await.unwrap();
    assert_eq!(bench.service.state().json()["link-1"]["revoked_at"], "2023-11-14T22:13:20Z");
    bench.store.rotate_keys(true, bench.clock.now()).await.unwrap();
    assert_eq!(bench.service.state().json()["link-2"]["revoked_at"], "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn nobody_waits_longer_than_was_said() {
    let service = Service::start(Tags::Strong);
    let quick = HttpSettings { timeout: Duration::from_millis(300), ..service.settings("linkgate.db") };
    let bench = contract::Bench::of(Settings::Http(quick), ());
    for fault in [Some(Fault::Slow), None] {
        // A body that does not end, or (the port of nobody's service) nobody who answers at all.
        let stuck = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let store = if let Some(fault) = fault {
            service.state().on_read = Some(fault);
            bench.store.clone()
        } else {
            let url = format!("https://localhost:{}", stuck.local_addr().unwrap().port());
            let address = ServiceAddress::parse(&url).unwrap();
            let timeout = Duration::from_millis(300);
            open(HttpSettings { address, timeout, ..service.settings("other.db") }).unwrap()
        };
        let began = Instant::now();
        let why = away(store.put_link(bench.link(1), None).await);
        assert!(why.contains("in time"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(store.version().await.is_ok(), "what needs no service goes on");
    }
}

#[tokio::test]
async fn nobody_is_spoken_to_who_is_not_the_service_and_the_cure_is_said() {
    let bench = Bench::new();
    let service = &bench.service;
    let good = || service.settings("other.db");
    let wrong = HttpSettings { token: Secret::new("wrong".into()), ..good() };
    let why = away(open(wrong).unwrap().put_link(bench.link(1), None).await);
    assert!(why.contains("401") && why.contains("store.token_file"), "{why}");

    let why = away(open(HttpSettings { ca: None, ..good() }).unwrap().put_link(bench.link(1), None).await);
    assert!(why.contains("set store.ca to the PEM file"), "{why}");

    let other = Service::start(Tags::Strong);
    let why = away(
        open(HttpSettings { ca: Some(other.ca()), ..good() }).unwrap().put_link(bench.link(1), None).await,
    );
    assert!(why.contains("certificate"), "{why}");

    let authority = Service::of_an_authority();
    let why = away(open(authority.settings("a.db")).unwrap().put_link(bench.link(1), None).await);
    assert!(why.contains("CA:FALSE"), "{why}");

    let ip = good().address.to_string().replace("localhost", "127.0.0.1").replace("/magic_link_tokens", "");
    let address = ServiceAddress::parse(&ip).unwrap();
    let why = away(open(HttpSettings { address, ..good() }).unwrap().put_link(bench.link(1), None).await);
    assert!(why.contains("for another name"), "{why}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = ServiceAddress::parse(&format!("https://{nobody}")).unwrap();
    let why = away(open(HttpSettings { address, ..good() }).unwrap().put_link(bench.link(1), None).await);
    assert!(why.contains("cannot be reached"), "{why}");

    for (ca, words) in [("missing.pem", "missing.pem"), ("service.key", "service.key")] {
        let ca = Some(service.folder.path().join(ca));
        let why = open(HttpSettings { ca, ..good() }).unwrap_err().to_string();
        assert!(why.contains("store.ca") && why.contains(words), "{why}");
    }
    assert_eq!(service.state().writes, 0);
    assert!(!format!("{:?}", good()).contains(TOKEN));
    let listed = bench.store.list_links(LinkFilter { state: Some(LinkState::Active), ..Default::default() });
    assert!(listed.await.unwrap().is_empty());
}
