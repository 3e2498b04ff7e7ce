//! People, sessions, key epochs, and what is told to memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bench, alice, bob, session_id};
use crate::identity::KeyEpoch;
use crate::identity::Profile;
use crate::identity::Standing;
use crate::store::{CodeRedeemed, Generations, NewLink, Redeemed, Redeemer, SessionFilter, Which};

fn profile() -> Profile {
    Profile {
        name: "Alice".to_owned(),
        id: "1017".to_owned(),
        groups: vec!["staff".to_owned(), "a, \"b\"".to_owned()],
        attributes: BTreeMap::from([("role".to_owned(), "editor".to_owned())]),
        ..Profile::bare(alice())
    }
}

pub(in crate::store) async fn a_person_comes_back_as_they_were_put_and_each_site_has_its_own(bench: Bench) {
    bench.store.put_user("wiki", profile()).await.unwrap();
    bench.store.put_user("other", Profile::bare(bob())).await.unwrap();
    let all = bench.store.list_users(None).await.unwrap();
    assert_eq!(all, [("other".to_owned(), Profile::bare(bob())), ("wiki".to_owned(), profile())]);
    assert_eq!(bench.store.list_users(Some("wiki")).await.unwrap().len(), 1);
    let until = Some(bench.in_minutes(5));
    bench.store.put_user("wiki", Profile { until, ..profile() }).await.unwrap();
    assert_eq!(bench.store.list_users(Some("wiki")).await.unwrap()[0].1.until, until);
}

pub(in crate::store) async fn removal_and_switching_off_raise_the_generation_and_it_never_falls(
    bench: Bench,
) {
    let generation = async || {
        let people = bench.store.snapshot().await.unwrap().people;
        people.into_iter().find(|p| p.email == alice()).map_or(0, |p| p.generation)
    };
    bench.store.put_user("wiki", profile()).await.unwrap();
    assert_eq!(generation().await, 0);
    bench.store.put_user("wiki", Profile { disabled: true, ..profile() }).await.unwrap();
    assert_eq!(generation().await, 1);
    bench.store.put_user("wiki", Profile { disabled: true, ..profile() }).await.unwrap();
    assert_eq!(generation().await, 1);
    assert!(bench.store.remove_user("wiki", &alice()).await.unwrap());
    assert!(!bench.store.remove_user("wiki", &alice()).await.unwrap());
    assert_eq!(generation().await, 2);
    assert!(bench.store.list_users(None).await.unwrap().is_empty());
    bench.store.put_user("wiki", profile()).await.unwrap();
    assert_eq!(generation().await, 2);
    assert_eq!(bench.store.raise_generation("wiki", &alice()).await.unwrap(), 3);
    assert_eq!(bench.store.raise_generation("wiki", &bob()).await.unwrap(), 1);
    assert_eq!(bench.store.list_users(None).await.unwrap(), [("wiki".to_owned(), profile())]);
}

pub(in crate::store) async fn a_revoked_session_is_remembered_until_its_absolute_end(bench: Bench) {
    let session = bench.signed_in(1).await;
    let other = bench.signed_in(2).await;
    let live = SessionFilter { live: true, ..SessionFilter::default() };
    assert_eq!(bench.store.list_sessions(live.clone()).await.unwrap().len(), 2);
    let ids = vec![session.to_string(), "no id".to_owned(), session_id(99).to_string()];
    assert_eq!(bench.store.revoke_sessions(Which::Ids(ids.clone())).await.unwrap(), [session]);
    assert!(bench.store.revoke_sessions(Which::Ids(ids)).await.unwrap().is_empty());
    let left = bench.store.list_sessions(live).await.unwrap();
    assert_eq!(left.iter().map(|s| s.id).collect::<Vec<_>>(), [other]);
    bench.days(29);
    bench.store.sweep().await.unwrap();
    assert_eq!(bench.store.snapshot().await.unwrap().revoked.len(), 1);
    bench.days(1);
    bench.store.sweep().await.unwrap();
    assert_eq!(bench.store.snapshot().await.unwrap().revoked.len(), 1);
    bench.minutes(1);
    assert_eq!(bench.store.sweep().await.unwrap().sessions, 2);
    assert!(bench.store.snapshot().await.unwrap().revoked.is_empty());
}

pub(in crate::store) async fn a_session_that_nobody_has_a_record_of_is_refused_by_its_id_until_it_must_have_ended(
    bench: Bench,
) {
    let (store, lost, until) = (&bench.store, session_id(77), bench.in_minutes(60));
    let known = bench.signed_in(1).await;
    let before = store.version().await.unwrap();
    assert!(!store.refuse_session(known, until).await.unwrap(), "there is a record");
    assert_eq!(store.version().await.unwrap(), before);
    assert!(store.refuse_session(lost, until).await.unwrap());
    assert_ne!(bench.another().version().await.unwrap(), before, "a gateway that runs sees it");
    assert_eq!(store.snapshot().await.unwrap().revoked, [(lost, until)]);
    let refused = store.version().await.unwrap();
    assert!(!store.refuse_session(lost, until).await.unwrap(), "refused already");
    assert_eq!(store.version().await.unwrap(), refused);
    // It is in no list, because nobody knows whose it is; and with the others it cannot be ended.
    assert!(store.session(lost).await.unwrap().is_none());
    let listed = store.list_sessions(SessionFilter::default()).await.unwrap();
    assert_eq!(listed.into_iter().map(|s| s.id).collect::<Vec<_>>(), [known]);
    assert_eq!(store.revoke_sessions(Which::All(None)).await.unwrap(), [known]);
    bench.minutes(60);
    store.sweep().await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().revoked.len(), 2);
    bench.minutes(1);
    store.sweep().await.unwrap();
    let revoked = store.snapshot().await.unwrap().revoked;
    assert_eq!(revoked.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [known]);
}

pub(in crate::store) async fn a_session_is_of_the_generation_of_whoever_the_code_was_for_and_can_be_ended(
    bench: Bench,
) {
    let store = &bench.store;
    store.raise_generation("wiki", &alice()).await.unwrap();
    store.put_link(bench.link_with_code(1, 7), None).await.unwrap();
    store.put_link(NewLink { email: bob(), ..bench.link_with_code(2, 8) }, None).await.unwrap();
    // Bob is waited for, and it is Alice's code that is typed.
    let generations = Generations::new(|email| u64::from(*email == alice()));
    assert_eq!(generations.of(&bob()), 0);
    let by = Redeemer { generations: generations.clone(), ..bench.redeemer(1) };
    let redeemed = store.redeem_code("wiki", [100; 32], [7; 32], by.clone()).await.unwrap();
    assert!(matches!(redeemed, CodeRedeemed::Redeemed(link) if link.email == alice()));
    let live = SessionFilter { live: true, ..SessionFilter::default() };
    let listed = store.list_sessions(live).await.unwrap();
    let listed = listed.iter().map(|session| (session.id, session.generation));
    assert_eq!(listed.collect::<Vec<_>>(), [(by.session, generations.of(&alice()))]);
    assert_eq!(store.revoke_sessions(Which::Ids(vec![by.session.to_string()])).await.unwrap(), [by.session]);
    let revoked = store.snapshot().await.unwrap().revoked;
    assert_eq!(revoked, [(by.session, by.ends_at)]);
}

pub(in crate::store) async fn a_renewal_moves_the_idle_end_forward_only_and_wakes_nobody_up(bench: Bench) {
    let session = bench.signed_in(1).await;
    let before = bench.store.version().await.unwrap();
    let later = bench.in_minutes(8 * 24 * 60);
    bench.store.touch_session(session, bench.in_minutes(1), later).await.unwrap();
    bench.store.touch_session(session, bench.clock.now(), bench.clock.now()).await.unwrap();
    let seen = bench.store.session(session).await.unwrap().unwrap();
    assert_eq!((seen.seen_at, seen.idle_until), (bench.in_minutes(1), later));
    assert_eq!(bench.store.version().await.unwrap(), before);
    bench.store.revoke_sessions(Which::All(None)).await.unwrap();
    bench.store.touch_session(session, later, later).await.unwrap();
    assert_eq!(bench.store.session(session).await.unwrap().unwrap().seen_at, bench.in_minutes(1));
}

pub(in crate::store) async fn what_one_process_changes_another_sees_by_the_version(bench: Bench) {
    let command_line = bench.another();
    let standing = Standing::new();
    standing.apply(bench.store.snapshot().await.unwrap(), bench.clock.now());
    let session = bench.signed_in(1).await;
    let before = bench.store.version().await.unwrap();
    command_line.put_link(bench.link(2), None).await.unwrap();
    assert_eq!(bench.store.version().await.unwrap(), before, "a link changes nothing that memory holds");
    command_line.revoke_sessions(Which::Email(Some("wiki".into()), alice())).await.unwrap();
    let revoked = bench.store.version().await.unwrap();
    assert_ne!(revoked, before);
    let snapshot = bench.store.snapshot().await.unwrap();
    assert_eq!(snapshot.version, revoked);
    standing.apply(snapshot, bench.clock.now());
    assert!(standing.is_revoked(&session));
    command_line.put_user("wiki", profile()).await.unwrap();
    standing.apply(bench.store.snapshot().await.unwrap(), bench.clock.now());
    assert_eq!(*standing.profile("wiki", &alice()).unwrap(), profile());
    bench.store.raise_generation("wiki", &alice()).await.unwrap();
    assert_ne!(command_line.version().await.unwrap(), revoked);
    assert_eq!(command_line.version().await.unwrap(), bench.store.version().await.unwrap());
}

pub(in crate::store) async fn a_key_rotation_keeps_the_old_epoch_until_its_end(bench: Bench) {
    let first = bench.store.snapshot().await.unwrap().epochs;
    assert_eq!((first.len(), first[0].id.len(), first[0].accepted_until), (1, 8, None));
    let session = bench.signed_in(1).await;
    let until = bench.in_minutes(60);
    let second = bench.store.rotate_keys(false, until).await.unwrap();
    let epochs = bench.store.snapshot().await.unwrap().epochs;
    assert_eq!((epochs[0].clone(), epochs[1].accepted_until), (second, Some(until)));
    // A later rotation never gives an old key more time.
    bench.store.rotate_keys(false, until + Duration::from_hours(1)).await.unwrap();
    assert_eq!(bench.store.snapshot().await.unwrap().epochs[2].accepted_until, Some(until));
    assert!(bench.store.session(session).await.unwrap().unwrap().revoked_at.is_none());
    bench.minutes(60);
    bench.store.sweep().await.unwrap();
    let epochs = bench.store.snapshot().await.unwrap().epochs;
    assert_eq!(epochs[2].accepted_until, Some(until), "its end is not forgotten with the key");
}

/// Which it would if the store had forgotten the key's end: what memory knows and a store lacks is taken for lost.
pub(in crate::store) async fn who_missed_a_key_rotation_and_a_sweep_believes_the_old_key_no_more(
    bench: Bench,
) {
    let standing = Standing::new();
    standing.apply(bench.store.snapshot().await.unwrap(), bench.clock.now());
    let new = bench.store.rotate_keys(true, bench.in_minutes(60)).await.unwrap();
    bench.days(1);
    bench.store.sweep().await.unwrap();
    standing.apply(bench.store.snapshot().await.unwrap(), bench.clock.now());
    let ended = |epoch: &KeyEpoch| epoch.accepted_until.is_some_and(|end| end <= bench.clock.now());
    let believed: Vec<KeyEpoch> = standing.keys_epochs().into_iter().filter(|epoch| !ended(epoch)).collect();
    assert_eq!(believed, [new]);
    assert!(standing.unsaid(99).is_empty(), "and tells the store nothing else");
}

pub(in crate::store) async fn a_key_rotation_at_once_ends_everything(bench: Bench) {
    let session = bench.signed_in(1).await;
    bench.store.put_link(bench.link_with_code(2, 7), Some(bench.letter("letter-2"))).await.unwrap();
    bench.store.rotate_keys(true, bench.in_minutes(60)).await.unwrap();
    let snapshot = bench.store.snapshot().await.unwrap();
    assert_eq!(snapshot.epochs[1].accepted_until, Some(bench.clock.now()));
    assert_eq!(snapshot.revoked.len(), 1);
    assert!(bench.store.session(session).await.unwrap().unwrap().revoked_at.is_some());
    assert!(matches!(bench.store.redeem([2; 32], bench.redeemer(9)).await.unwrap(), Redeemed::Revoked(_)));
    let code = bench.store.redeem_code("wiki", [100; 32], [7; 32], bench.redeemer(9)).await.unwrap();
    assert_eq!(code, CodeRedeemed::None);
    assert!(bench.store.lease_letters(9, Duration::from_mins(1), "a").await.unwrap().is_empty());
}
