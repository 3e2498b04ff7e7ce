//! Out of one store and into another.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Bench, alice, bob, session_id};
use crate::identity::Profile;
use crate::store::transfer::{Census, Delivery, Moved, Reading, last_line, line};
use crate::store::{
    AuditEvent, AuditFilter, CodeRedeemed, NewLink, Redeemed, SessionFilter, Store, StoreError, Which,
};

async fn out(store: &Store) -> Vec<Moved> {
    let (sender, mut receiver) = mpsc::channel(1);
    let collect = async {
        let mut all = Vec::new();
        while let Some(records) = receiver.recv().await {
            all.extend(records);
        }
        all
    };
    let (exported, all) = tokio::join!(store.export(sender), collect);
    exported.unwrap();
    all
}

async fn into(store: &Store, records: Vec<Moved>, complete: bool) -> Result<Census, StoreError> {
    let (sender, receiver) = mpsc::channel(1);
    let send = async move {
        for record in records {
            // A store that refused has gone.
            if sender.send(Delivery::Records(vec![record])).await.is_err() {
                return;
            }
        }
        if complete {
            let _ = sender.send(Delivery::Complete).await;
        }
    };
    tokio::join!(store.import(receiver), send).0
}

/// One of everything that may have happened.
async fn lived_in(bench: &Bench) {
    let store = &bench.store;
    store.rotate_keys(false, bench.in_minutes(60)).await.unwrap();
    let profile = Profile {
        name: "Alice".into(),
        groups: vec!["staff".into()],
        attributes: [("role".into(), "editor".into())].into(),
        until: Some(bench.in_minutes(99)),
        ..Profile::bare(alice())
    };
    store.put_user("wiki", profile).await.unwrap();
    store.raise_generation("wiki", &bob()).await.unwrap();
    bench.signed_in(1).await;
    let ended = bench.signed_in(2).await;
    store.revoke_sessions(Which::Ids(vec![ended.to_string()])).await.unwrap();
    store.put_link(bench.link_with_code(3, 7), Some(bench.letter("letter"))).await.unwrap();
    let code = store.redeem_code("wiki", [100; 32], [9; 32], bench.redeemer(9)).await.unwrap();
    assert_eq!(code, CodeRedeemed::Wrong { left: 4 });
    store.try_address([3; 32], &bob()).await.unwrap();
    store.put_link(NewLink { uses: None, expires_at: None, ..bench.link(4) }, None).await.unwrap();
    store.put_link(bench.link(5), None).await.unwrap();
    store.revoke_links(Which::Ids(vec!["link-5".into()])).await.unwrap();
    let event = AuditEvent {
        at: bench.clock.now(),
        site: "wiki".into(),
        email: "alice@example.com".into(),
        what: "link.redeemed".into(),
        request: "r".into(),
        client: "192.0.2.1".into(),
        detail: "\"quoted\"\n".into(),
    };
    store.audit(event).await.unwrap();
}

#[tokio::test]
async fn what_comes_out_of_a_store_goes_into_another_and_comes_out_the_same() {
    let (old, new) = (Bench::new(), Bench::new());
    lived_in(&old).await;
    let moved = out(&old.store).await;
    // Through the file's form and back, as the command line does it.
    let mut reading = Reading::default();
    let header = br#"{"linkgate":"store","format":1,"made_at":0,"secrets":[]}"#;
    assert_eq!(reading.line(header).unwrap(), None);
    let mut read = Vec::new();
    let mut census = Census::default();
    for record in &moved {
        census.count(record);
        read.extend(reading.line(line(record).unwrap().trim_ascii_end()).unwrap());
    }
    reading.line(last_line(&census).unwrap().trim_ascii_end()).unwrap();
    assert_eq!(reading.finish().unwrap().1, census);
    assert_eq!(read, moved);
    assert_eq!(census, Census { epochs: 2, people: 2, sessions: 2, links: 5, code_failures: 1, audit: 1 });

    let before = new.store.version().await.unwrap();
    assert_eq!(into(&new.store, read, true).await.unwrap(), census);
    assert_ne!(new.store.version().await.unwrap(), before, "a gateway that runs sees it");
    assert_eq!(out(&new.store).await, moved);
    let (was, is) = (old.store.snapshot().await.unwrap(), new.store.snapshot().await.unwrap());
    assert_eq!((is.people, is.revoked, is.epochs), (was.people, was.revoked, was.epochs));
    assert_eq!(
        new.store.list_links(Default::default()).await.unwrap(),
        old.store.list_links(Default::default()).await.unwrap()
    );
    assert_eq!(
        new.store.list_sessions(SessionFilter::default()).await.unwrap(),
        old.store.list_sessions(SessionFilter::default()).await.unwrap()
    );
    let filter = AuditFilter::default();
    assert_eq!(
        new.store.audit_log(filter.clone()).await.unwrap(),
        old.store.audit_log(filter).await.unwrap()
    );
    assert!(new.store.list_letters().await.unwrap().is_empty(), "letters stay");
}

#[tokio::test]
async fn links_and_codes_that_moved_are_as_good_as_before_and_no_better() {
    let (old, new) = (Bench::new(), Bench::new());
    lived_in(&old).await;
    into(&new.store, out(&old.store).await, true).await.unwrap();
    let redeem = async |number: u8| {
        new.store.redeem([number; 32], new.redeemer(100 + u16::from(number))).await.unwrap()
    };
    assert!(matches!(redeem(1).await, Redeemed::Used(_)));
    assert!(matches!(redeem(4).await, Redeemed::Redeemed(_)));
    assert!(matches!(redeem(5).await, Redeemed::Revoked(_)));
    for left in (0..4).rev() {
        let wrong = new.store.redeem_code("wiki", [100; 32], [9; 32], new.redeemer(9)).await.unwrap();
        assert_eq!(wrong, CodeRedeemed::Wrong { left }, "the try from before counts");
    }
    assert!(matches!(redeem(3).await, Redeemed::Redeemed(_)));
    assert!(new.store.session(session_id(2)).await.unwrap().unwrap().revoked_at.is_some());
    assert!(new.store.session(session_id(1)).await.unwrap().unwrap().revoked_at.is_none());
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_never_mixes_two_stores() {
    let (old, new) = (Bench::new(), Bench::new());
    lived_in(&old).await;
    let moved = out(&old.store).await;
    let fresh = out(&new.store).await;
    assert_eq!(fresh.len(), 1, "the first epoch of a new store");

    let broken_off = into(&new.store, moved.clone(), false).await.unwrap_err();
    assert!(broken_off.to_string().contains("nothing was changed"), "{broken_off}");
    assert_eq!(out(&new.store).await, fresh);

    let twice = moved.iter().chain(moved.last()).cloned().chain(moved.first().cloned()).collect();
    assert!(matches!(into(&new.store, twice, true).await.unwrap_err(), StoreError::Invalid(_)));
    assert_eq!(out(&new.store).await, fresh);

    into(&new.store, moved.clone(), true).await.unwrap();
    let again = into(&new.store, moved.clone(), true).await.unwrap_err();
    assert!(again.to_string().contains("not empty (5 links, 2 sessions, 2 people"), "{again}");
    assert_eq!(out(&new.store).await, moved);
}

#[tokio::test]
async fn a_slow_reader_gets_one_moment_and_keeps_nobody_waiting() {
    let bench = Bench::new();
    for number in 0..200 {
        bench.store.put_link(NewLink { id: format!("{number}"), ..bench.link(number) }, None).await.unwrap();
    }
    let (sender, mut receiver) = mpsc::channel(1);
    let store = bench.store.clone();
    let export = tokio::spawn(async move { store.export(sender).await });
    let first = receiver.recv().await.unwrap();
    assert!(matches!(first.first(), Some(Moved::Epoch(_))));
    bench.store.put_link(bench.link(250), None).await.unwrap();
    bench.store.revoke_links(Which::All(None)).await.unwrap();
    assert_eq!(bench.store.list_links(Default::default()).await.unwrap().len(), 201);
    let mut links = Vec::new();
    while let Some(records) = receiver.recv().await {
        links.extend(records);
    }
    export.await.unwrap().unwrap();
    let live = |record: &&Moved| matches!(record, Moved::Link(link) if link.revoked_at.is_none());
    assert_eq!(links.iter().filter(live).count(), 200);
    // Who goes away ends it.
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let gone = tokio::time::timeout(Duration::from_secs(20), bench.store.export(sender)).await.unwrap();
    assert!(gone.is_err());
}
