//! Limits, letters and the log where several instances share them.

use std::time::Duration;

use tokio::task::JoinSet;

use super::harness::Server;
use crate::identity::KeyEpoch;
use crate::identity::Unsaid;
use crate::store::contract::Bench;
use crate::store::{AuditEvent, AuditFilter, LetterState, Quota};

fn bench() -> Bench {
    let server = Server::start();
    Bench::of(server.settings(), server)
}

#[tokio::test]
async fn two_instances_share_one_bucket_however_fast_they_spend() {
    let bench = bench();
    let quota = Quota { count: 20, per: Duration::from_mins(15) };
    let mut tasks = JoinSet::new();
    let stores = [bench.store.clone(), bench.another()];
    for number in 0..100_usize {
        let store = stores[number % 2].clone();
        tasks.spawn(async move { store.spend("shared", quota).await.unwrap() });
    }
    let taken = tasks.join_all().await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 20);
}

#[tokio::test]
async fn a_change_made_by_one_instance_rings_at_the_others_even_after_redis_was_gone() {
    let mut server = Server::start();
    let (settings, other) = (server.settings(), server.settings());
    let bench = Bench::of(settings, ());
    let other = Bench::of(other, ());
    let bell = other.store.changes();
    // It rings when it begins to listen: nothing said before was heard.
    bell.notified().await;
    let ring = async |what: &str| {
        let heard = tokio::time::timeout(Duration::from_secs(20), bell.notified()).await;
        assert!(heard.is_ok(), "{what}");
    };
    bench.store.raise_generation("wiki", &crate::store::contract::alice()).await.unwrap();
    ring("a revocation").await;
    server.signal("KILL");
    server.start_again();
    ring("it listens again").await;
    bench.store.raise_generation("wiki", &crate::store::contract::alice()).await.unwrap();
    ring("and hears").await;
}

#[tokio::test]
async fn what_is_told_again_only_ever_ends_something_sooner() {
    let bench = bench();
    let (alice, end) = (crate::store::contract::alice(), bench.in_minutes(60));
    let first = bench.store.snapshot().await.unwrap().epochs.remove(0);
    let session = crate::store::contract::session_id(7);
    let lost = KeyEpoch { id: "abcdef01".to_owned(), created_at: bench.in_minutes(1), accepted_until: None };
    let unsaid = Unsaid {
        revoked: vec![(session, end)],
        generations: vec![("wiki".to_owned(), alice.clone(), 3)],
        epochs: vec![lost.clone(), KeyEpoch { accepted_until: Some(end), ..first.clone() }],
    };
    let before = bench.store.version().await.unwrap();
    assert_eq!(bench.store.unite(&unsaid).await.unwrap(), 4);
    assert_ne!(bench.store.version().await.unwrap(), before);
    let snapshot = bench.store.snapshot().await.unwrap();
    assert_eq!(snapshot.revoked, [(session, end)]);
    let ended = KeyEpoch { accepted_until: Some(end), ..first };
    assert_eq!(snapshot.epochs, [lost, ended.clone()]);
    assert_eq!(bench.store.raise_generation("wiki", &alice).await.unwrap(), 4);
    // Said again, or said by somebody who knows less: nothing changes, nobody is woken up.
    let known = bench.store.version().await.unwrap();
    let longer = KeyEpoch { accepted_until: None, ..ended.clone() };
    let less = Unsaid { epochs: vec![longer], ..unsaid };
    assert_eq!(bench.store.unite(&less).await.unwrap(), 0);
    assert_eq!(bench.store.version().await.unwrap(), known);
    assert_eq!(bench.store.snapshot().await.unwrap().epochs[1], ended);
}

#[test]
fn the_page_names_the_rights_that_the_tests_use() {
    let page = include_str!("../../../../docs/redis.md");
    let line = page.split("ACL SETUSER linkgate ").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let said: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('>')).collect();
    let used: Vec<&str> =
        super::kinds::RIGHTS.iter().copied().filter(|word| !word.starts_with('>')).collect();
    assert_eq!(said, used);
}

#[tokio::test]
async fn of_a_hundred_letters_four_instances_lease_each_once() {
    let bench = bench();
    for number in 0..100 {
        let letter = bench.letter(&format!("letter-{number}"));
        bench.store.put_link(bench.link(number), Some(letter)).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for holder in 0..4 {
        let store = bench.another();
        tasks.spawn(async move {
            let mut leased = Vec::new();
            loop {
                let some = store
                    .lease_letters(8, Duration::from_mins(1), &format!("holder-{holder}"))
                    .await
                    .unwrap();
                if some.is_empty() {
                    return leased;
                }
                leased.extend(some.into_iter().map(|letter| letter.id));
            }
        });
    }
    let mut leased: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    leased.sort();
    let mut all: Vec<String> = (0..100).map(|number| format!("letter-{number}")).collect();
    all.sort();
    assert_eq!(leased, all);
    let next = bench.store.next_letter_at().await.unwrap();
    assert_eq!(next, Some(bench.in_minutes(1)), "the first lease to run out");
}

#[tokio::test]
async fn a_letter_whose_index_was_lost_to_a_look_in_between_is_still_found() {
    let bench = bench();
    bench.store.put_link(bench.link(1), Some(bench.letter("letter-1"))).await.unwrap();
    let lease = Duration::from_mins(1);
    bench.store.lease_letters(1, lease, "a").await.unwrap();
    bench.store.letter_failed("letter-1", "a", "550 no", None).await.unwrap();
    // Somebody else looks at the dead letter while it is called back.
    let other = bench.another();
    let ids = ["letter-1".to_owned()];
    let (brought, _) = tokio::join!(bench.store.retry_letters(&ids), other.lease_letters(0, lease, "b"));
    assert_eq!(brought.unwrap(), 1);
    assert_eq!(other.lease_letters(8, lease, "b").await.unwrap().len(), 1);
    other.letter_sent("letter-1", "b").await.unwrap();
    assert_eq!(bench.store.list_letters().await.unwrap()[0].state, LetterState::Sent);
    assert_eq!(bench.store.next_letter_at().await.unwrap(), None);
}

#[tokio::test]
async fn a_long_log_is_read_in_steps_and_a_follower_misses_nothing() {
    let bench = bench();
    let event = |number: usize| AuditEvent {
        at: bench.clock.now(),
        site: "wiki".to_owned(),
        email: "alice@example.com".to_owned(),
        what: "link.asked".to_owned(),
        request: format!("request-{number}"),
        client: String::new(),
        detail: String::new(),
    };
    let mut tasks = JoinSet::new();
    for number in 0..1_200 {
        let (store, event) = (bench.store.clone(), event(number));
        tasks.spawn(async move { store.audit(event).await.unwrap() });
    }
    tasks.join_all().await;
    let (all, cursor) = bench.store.audit_tail(AuditFilter::default(), 0).await.unwrap();
    assert_eq!(all.len(), 1_200);
    let one = AuditFilter { request: Some("request-7".to_owned()), ..AuditFilter::default() };
    assert_eq!(bench.store.audit_log(one).await.unwrap(), [event(7)]);
    bench.another().audit(event(9_999)).await.unwrap();
    let (news, next) = bench.store.audit_tail(AuditFilter::default(), cursor).await.unwrap();
    assert_eq!(news, [event(9_999)]);
    assert!(bench.store.audit_tail(AuditFilter::default(), next).await.unwrap().0.is_empty());
}
