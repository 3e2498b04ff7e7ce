//! Limits, letters and the log where several instances share them.

use std::time::Duration;

use tokio::task::JoinSet;

use super::harness::Server;
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
