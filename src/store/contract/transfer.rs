//! Out of one store and into another, of whatever kind.

use tokio::sync::mpsc;

use super::{Bench, alice, bob, session_id};
use crate::identity::Profile;
use crate::store::transfer::{Census, Delivery, Header, Moved, Reading, last_line, line};
use crate::store::{
    AuditEvent, AuditFilter, CodeRedeemed, LinkFilter, NewLink, Redeemed, SessionFilter, Settings, Store,
    StoreError, Which,
};

/// A store of the simplest kind, to come from or go to.
fn plain() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    Bench::of(Settings::Sqlite { path: folder.path().join("plain.db") }, folder)
}

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

/// What is the same in whatever order it comes.
fn sorted(records: &[Moved]) -> Vec<String> {
    let mut lines: Vec<String> =
        records.iter().map(|record| String::from_utf8(line(record).unwrap()).unwrap()).collect();
    lines.sort();
    lines
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
    store.refuse_session(session_id(77), bench.in_minutes(60)).await.unwrap();
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

/// Both say the same to whoever asks.
async fn the_same(one: &Store, other: &Store) {
    let (mut was, mut is) = (one.snapshot().await.unwrap(), other.snapshot().await.unwrap());
    was.revoked.sort();
    is.revoked.sort();
    assert_eq!(is.revoked.len(), 2, "one that was revoked, one that is refused");
    assert_eq!((is.people, is.revoked, is.epochs), (was.people, was.revoked, was.epochs));
    let links = LinkFilter::default;
    assert_eq!(other.list_links(links()).await.unwrap(), one.list_links(links()).await.unwrap());
    let sessions = SessionFilter::default;
    assert_eq!(other.list_sessions(sessions()).await.unwrap(), one.list_sessions(sessions()).await.unwrap());
    let events = AuditFilter::default;
    assert_eq!(other.audit_log(events()).await.unwrap(), one.audit_log(events()).await.unwrap());
}

pub(in crate::store) async fn what_comes_out_of_a_store_goes_into_another_and_comes_out_the_same(
    bench: Bench,
) {
    let old = plain();
    lived_in(&old).await;
    let moved = out(&old.store).await;
    // Through the file's form and back, as the command line does it.
    let mut reading = Reading::default();
    let header = line(&Header::new(bench.clock.now(), Vec::new())).unwrap();
    assert_eq!(reading.line(header.trim_ascii_end()).unwrap(), None);
    let mut read = Vec::new();
    let mut census = Census::default();
    for record in &moved {
        census.count(record);
        read.extend(reading.line(line(record).unwrap().trim_ascii_end()).unwrap());
    }
    reading.line(last_line(&census).unwrap().trim_ascii_end()).unwrap();
    assert_eq!(reading.finish().unwrap().1, census);
    assert_eq!(read, moved);
    assert_eq!(
        census,
        Census { epochs: 2, people: 2, sessions: 2, refused: 1, links: 5, code_failures: 1, audit: 1 }
    );

    let before = bench.store.version().await.unwrap();
    assert_eq!(into(&bench.store, read, true).await.unwrap(), census);
    assert_ne!(bench.store.version().await.unwrap(), before, "a gateway that runs sees it");
    assert_eq!(sorted(&out(&bench.store).await), sorted(&moved));
    the_same(&old.store, &bench.store).await;
    assert!(bench.store.list_letters().await.unwrap().is_empty(), "letters stay");
}

pub(in crate::store) async fn a_store_that_was_lived_in_can_be_left(bench: Bench) {
    lived_in(&bench).await;
    let new = plain();
    let moved = out(&bench.store).await;
    into(&new.store, moved, true).await.unwrap();
    the_same(&bench.store, &new.store).await;
}

pub(in crate::store) async fn links_and_codes_that_moved_are_as_good_as_before_and_no_better(bench: Bench) {
    let old = plain();
    lived_in(&old).await;
    into(&bench.store, out(&old.store).await, true).await.unwrap();
    let redeem = async |number: u8| {
        bench.store.redeem([number; 32], bench.redeemer(100 + u16::from(number))).await.unwrap()
    };
    assert!(matches!(redeem(1).await, Redeemed::Used(_)));
    assert!(matches!(redeem(4).await, Redeemed::Redeemed(_)));
    assert!(matches!(redeem(5).await, Redeemed::Revoked(_)));
    assert_eq!(bench.store.live_code("wiki", [100; 32], &alice()).await.unwrap(), Some([7; 8]));
    for left in (0..4).rev() {
        let wrong = bench.store.redeem_code("wiki", [100; 32], [9; 32], bench.redeemer(9)).await.unwrap();
        assert_eq!(wrong, CodeRedeemed::Wrong { left }, "the try from before counts");
    }
    assert!(matches!(redeem(3).await, Redeemed::Redeemed(_)));
    assert_eq!(bench.store.asked("wiki", [100; 32]).await.unwrap().unwrap().id, "link-5");
    assert!(bench.store.session(session_id(2)).await.unwrap().unwrap().revoked_at.is_some());
    assert!(bench.store.session(session_id(1)).await.unwrap().unwrap().revoked_at.is_none());
    let ended = bench.store.revoke_sessions(Which::Ids(vec![session_id(1).to_string()])).await.unwrap();
    assert_eq!(ended, [session_id(1)]);
}

pub(in crate::store) async fn what_a_store_refuses_it_refuses_after_an_import_as_well(bench: Bench) {
    let old = plain();
    lived_in(&old).await;
    let until = bench.in_minutes(90);
    assert!(bench.store.refuse_session(session_id(88), until).await.unwrap());
    into(&bench.store, out(&old.store).await, true).await.unwrap();
    let mut revoked = bench.store.snapshot().await.unwrap().revoked;
    revoked.sort();
    let ended = [(2, bench.redeemer(2).ends_at), (77, bench.in_minutes(60)), (88, until)];
    assert_eq!(revoked, ended.map(|(number, until)| (session_id(number), until)));
}

pub(in crate::store) async fn an_import_is_all_or_nothing_and_never_mixes_two_stores(bench: Bench) {
    let old = plain();
    lived_in(&old).await;
    let moved = out(&old.store).await;
    let fresh = out(&bench.store).await;
    assert_eq!(fresh.len(), 1, "the first epoch of a new store");

    let broken_off = into(&bench.store, moved.clone(), false).await.unwrap_err();
    assert!(broken_off.to_string().contains("nothing was changed"), "{broken_off}");
    assert_eq!(out(&bench.store).await, fresh);

    into(&bench.store, moved.clone(), true).await.unwrap();
    let again = into(&bench.store, moved.clone(), true).await.unwrap_err();
    assert!(again.to_string().contains("not empty (5 links, 2 sessions, 2 people"), "{again}");
    assert_eq!(sorted(&out(&bench.store).await), sorted(&moved));
}
