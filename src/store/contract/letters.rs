//! The outbox and the audit log.

use std::time::Duration;

use super::{Bench, alice};
use crate::clock::Timestamp;
use crate::store::{AuditEvent, AuditFilter, LetterState, Which};

const LEASE: Duration = Duration::from_mins(1);

async fn put(bench: &Bench, number: u8) {
    let letter = bench.letter(&format!("letter-{number}"));
    bench.store.put_link(bench.link(number), Some(letter)).await.unwrap();
}

async fn state(bench: &Bench, id: &str) -> LetterState {
    let letters = bench.store.list_letters().await.unwrap();
    letters.into_iter().find(|letter| letter.id == id).unwrap().state
}

pub(in crate::store) async fn a_letter_rings_and_is_leased_by_one_sender_until_the_lease_runs_out(
    bench: Bench,
) {
    let bell = bench.store.letters_waiting();
    put(&bench, 1).await;
    bell.notified().await;
    put(&bench, 2).await;
    assert_eq!(bench.store.next_letter_at().await.unwrap(), Some(bench.clock.now()));
    let first = bench.store.lease_letters(1, LEASE, "a").await.unwrap();
    assert_eq!((first[0].id.as_str(), first[0].attempts), ("letter-1", 1));
    assert_eq!(first[0].sealed, b"sealed-letter-body");
    let rest = bench.another().lease_letters(10, LEASE, "b").await.unwrap();
    assert_eq!(rest.iter().map(|l| l.id.as_str()).collect::<Vec<_>>(), ["letter-2"]);
    assert!(bench.store.lease_letters(10, LEASE, "c").await.unwrap().is_empty());
    assert_eq!(bench.store.next_letter_at().await.unwrap(), Some(bench.in_minutes(1)));
    bench.minutes(1);
    let again = bench.store.lease_letters(10, LEASE, "c").await.unwrap();
    assert_eq!(again.iter().map(|l| l.attempts).collect::<Vec<_>>(), [2, 2]);
    // What the first sender has to say now is too late to spoil anything ...
    bench.store.letter_failed("letter-1", "a", "too slow", None).await.unwrap();
    assert_eq!(state(&bench, "letter-1").await, LetterState::Leased);
    // ... but a delivery is a delivery.
    bench.store.letter_sent("letter-1", "a").await.unwrap();
    bench.store.letter_failed("letter-1", "c", "late", Some(bench.in_minutes(1))).await.unwrap();
    assert_eq!(state(&bench, "letter-1").await, LetterState::Sent);
}

pub(in crate::store) async fn a_failed_letter_comes_again_and_a_dead_one_when_it_is_called(bench: Bench) {
    put(&bench, 1).await;
    bench.store.lease_letters(1, LEASE, "a").await.unwrap();
    bench.store.letter_failed("letter-1", "a", "450 busy", Some(bench.in_minutes(2))).await.unwrap();
    assert!(bench.store.lease_letters(1, LEASE, "a").await.unwrap().is_empty());
    assert_eq!(bench.store.next_letter_at().await.unwrap(), Some(bench.in_minutes(2)));
    bench.minutes(2);
    assert_eq!(bench.store.lease_letters(1, LEASE, "a").await.unwrap().len(), 1);
    bench.store.letter_failed("letter-1", "a", "550 no such user", None).await.unwrap();
    let shown = &bench.store.list_letters().await.unwrap()[0];
    assert_eq!(
        (shown.state, shown.error.as_str(), shown.next_at),
        (LetterState::Dead, "550 no such user", None)
    );
    assert_eq!(bench.store.retry_letters(&["no such".into()]).await.unwrap(), 0);
    assert_eq!(bench.store.retry_letters(&[]).await.unwrap(), 1);
    bench.store.letters_waiting().notified().await;
    assert_eq!(bench.store.lease_letters(1, LEASE, "a").await.unwrap().len(), 1);
    assert_eq!(bench.store.drop_letters(&["letter-1".into(), "no such".into()]).await.unwrap(), 1);
    assert!(bench.store.list_letters().await.unwrap().is_empty());
}

pub(in crate::store) async fn a_letter_that_came_too_late_is_erased_and_cannot_be_called_back(bench: Bench) {
    put(&bench, 1).await;
    bench.minutes(10);
    assert!(bench.store.lease_letters(1, LEASE, "a").await.unwrap().is_empty());
    assert_eq!(state(&bench, "letter-1").await, LetterState::Dead);
    assert_eq!(bench.store.retry_letters(&[]).await.unwrap(), 0);
    assert_eq!(bench.store.next_letter_at().await.unwrap(), None);
}

pub(in crate::store) async fn a_delivered_letter_is_listed_for_seven_days(bench: Bench) {
    put(&bench, 1).await;
    bench.store.lease_letters(1, LEASE, "a").await.unwrap();
    bench.store.letter_sent("letter-1", "a").await.unwrap();
    assert_eq!(state(&bench, "letter-1").await, LetterState::Sent);
    bench.days(7);
    assert_eq!(bench.store.sweep().await.unwrap().letters, 1);
    assert!(bench.store.list_letters().await.unwrap().is_empty());
}

pub(in crate::store) async fn a_letter_of_a_revoked_link_is_not_sent(bench: Bench) {
    put(&bench, 1).await;
    bench.store.revoke_links(Which::Email(None, alice())).await.unwrap();
    assert!(bench.store.lease_letters(1, LEASE, "a").await.unwrap().is_empty());
    assert_eq!(bench.store.list_letters().await.unwrap()[0].error, "the link was revoked");
}

pub(in crate::store) async fn the_audit_log_finds_by_request_person_and_time_and_can_be_followed(
    bench: Bench,
) {
    let event = |number: i64| AuditEvent {
        at: Timestamp::from_seconds(1_700_000_000 + number),
        site: "wiki".to_owned(),
        email: if number % 2 == 0 { "alice@example.com" } else { "bob@example.com" }.to_owned(),
        what: "link.redeemed".to_owned(),
        request: format!("request-{number}"),
        client: "192.0.2.1".to_owned(),
        detail: String::new(),
    };
    for number in 0..6 {
        bench.store.audit(event(number)).await.unwrap();
    }
    let log = async |filter: AuditFilter| bench.store.audit_log(filter).await.unwrap();
    assert_eq!(log(AuditFilter::default()).await.len(), 6);
    let of_request = AuditFilter { request: Some("request-3".into()), ..AuditFilter::default() };
    assert_eq!(log(of_request).await, [event(3)]);
    let of_alice = AuditFilter {
        email: Some("alice@example.com".into()),
        since: Some(Timestamp::from_seconds(1_700_000_001)),
        ..AuditFilter::default()
    };
    assert_eq!(log(of_alice).await, [event(2), event(4)]);
    assert_eq!(log(AuditFilter { limit: Some(2), ..AuditFilter::default() }).await, [event(4), event(5)]);
    let (_, cursor) = bench.store.audit_tail(AuditFilter::default(), 0).await.unwrap();
    bench.another().audit(event(6)).await.unwrap();
    let (news, next) = bench.store.audit_tail(AuditFilter::default(), cursor).await.unwrap();
    assert_eq!((news, next > cursor), (vec![event(6)], true));
    bench.days(366);
    assert_eq!(bench.store.sweep().await.unwrap().audit, 7);
}
