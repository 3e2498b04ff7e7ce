//! A process that dies between two steps of a verb: what was committed counts, what was not does not, and whoever comes
//! next finds no difference.

use std::time::{Duration, Instant};

use ::redis::Value;

use super::super::Redis;
use super::super::bytes;
use super::super::connection::Ask;
use super::harness::{Server, settings};
use crate::random::Random;
use crate::store::contract::{Bench, alice};
use crate::store::{
    LinkFilter, LinkState, NewLetter, NewLink, Redeemed, Redeemer, SessionFilter, Settings, Which,
};

/// A bench, and the backend below it, to do half of a verb.
fn half(server: &Server) -> (Bench, Redis) {
    let of = settings(&format!("redis+unix://{}", server.socket().display()));
    let bench = Bench::of(Settings::Redis(of.clone()), ());
    let redis = Redis::open(&of, &bench.clock, &Random::system()).unwrap();
    (bench, redis)
}

/// Writes the session and, where asked to, redeems; then the process dies.
async fn dies_after(redis: &Redis, bench: &Bench, by: &Redeemer, redeemed: bool) {
    let link = bench.store.peek_link([1; 32]).await.unwrap().unwrap();
    redis.begin_session(&link, by, 0).await.unwrap();
    if redeemed {
        let arguments = vec![by.session.bytes().to_vec(), bytes(0), bytes(60_000)];
        let ask = redis.script(&redis.scripts.redeem, &[redis.keys.link(&[1; 32])], arguments);
        redis.run(ask).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_whose_link_was_never_redeemed_is_none() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let dead = bench.redeemer(1);
    dies_after(&redis, &bench, &dead, false).await;
    assert!(bench.store.session(dead.session).await.unwrap().is_none());
    assert!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().is_empty());
    assert!(bench.store.revoke_sessions(Which::All(None)).await.unwrap().is_empty());
    // The link is as good as before, for somebody else.
    let other = bench.store.redeem([1; 32], bench.redeemer(2)).await.unwrap();
    assert!(matches!(other, Redeemed::Redeemed(_)));
    assert!(bench.store.session(dead.session).await.unwrap().is_none());
    assert_eq!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_whose_link_was_redeemed_is_one_and_what_should_have_followed_follows() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    let old = bench.signed_in(3).await;
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let by = Redeemer { ends: Some(old), ..bench.redeemer(1) };
    dies_after(&redis, &bench, &by, true).await;
    let again = bench.store.redeem([1; 32], bench.redeemer(2)).await.unwrap();
    assert!(matches!(again, Redeemed::Used(link) if link.session == Some(by.session)));
    assert!(bench.store.session(by.session).await.unwrap().unwrap().revoked_at.is_none());
    let began = Instant::now();
    while bench.store.session(old).await.unwrap().unwrap().revoked_at.is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "the session before it goes on");
    }
    let ended = bench.store.revoke_sessions(Which::Email(None, alice())).await.unwrap();
    assert_eq!(ended, [by.session]);
}

#[tokio::test]
async fn what_the_standing_has_ended_has_ended_whatever_its_record_says() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    let (one, two) = (bench.signed_in(1).await, bench.signed_in(2).await);
    let live = SessionFilter { live: true, ..SessionFilter::default() };
    let standing = |what: &str| redis.keys.standing(what);

    let keys = ["revoked", "version", "pulse"].map(standing);
    let ends = bytes(bench.in_minutes(30 * 24 * 60).millis());
    let arguments = vec![b"linkgate:changed".to_vec(), one.bytes().to_vec(), ends];
    redis.run(redis.script(&redis.scripts.standing_revoke, &keys, arguments)).await.unwrap();
    assert!(bench.store.session(one).await.unwrap().unwrap().revoked_at.is_some());
    assert_eq!(bench.store.list_sessions(live.clone()).await.unwrap().len(), 1);

    let keys = ["generations", "version"].map(standing);
    let person = super::super::keys::person("wiki", &alice());
    let arguments = vec![b"linkgate:changed".to_vec(), person];
    redis.run(redis.script(&redis.scripts.standing_raise, &keys, arguments)).await.unwrap();
    assert!(bench.store.session(two).await.unwrap().unwrap().revoked_at.is_some());
    assert!(bench.store.list_sessions(live).await.unwrap().is_empty());
    // Only the generation speaks against the second: should its token carry another, it can be ended all the same.
    let ended = bench.store.revoke_sessions(Which::All(None)).await.unwrap();
    assert_eq!(ended, [two]);
    let revoked = bench.store.snapshot().await.unwrap().revoked;
    assert!([one, two].iter().all(|ended| revoked.iter().any(|(id, _)| id == ended)));
    assert!(bench.store.revoke_sessions(Which::All(None)).await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_that_were_rotated_at_once_have_ended_links_and_sessions_before_anybody_wrote_it_there() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    let session = bench.signed_in(1).await;
    bench.store.put_link(bench.link_with_code(2, 7), Some(bench.letter("letter-2"))).await.unwrap();
    let keys = ["epochs", "version", "fence"].map(|what| redis.keys.standing(what));
    let arguments = vec![b"linkgate:changed".to_vec(), b"0badcafe".to_vec(), Vec::new()];
    redis.run(redis.script(&redis.scripts.rotate_keys, &keys, arguments)).await.unwrap();
    assert!(bench.store.session(session).await.unwrap().unwrap().revoked_at.is_some());
    assert!(matches!(bench.store.redeem([2; 32], bench.redeemer(9)).await.unwrap(), Redeemed::Revoked(_)));
    let revoked = LinkFilter { state: Some(LinkState::Revoked), ..LinkFilter::default() };
    assert_eq!(bench.store.list_links(revoked).await.unwrap().len(), 1);
    assert!(bench.store.lease_letters(9, Duration::from_mins(1), "a").await.unwrap().is_empty());
    // What is made after it is good.
    bench.store.put_link(bench.link(3), None).await.unwrap();
    assert!(matches!(bench.store.redeem([3; 32], bench.redeemer(3)).await.unwrap(), Redeemed::Redeemed(_)));
}

#[tokio::test]
async fn an_index_without_a_record_is_passed_over_and_a_name_without_a_link_is_nobodys() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    let until = Some(bench.in_minutes(10));
    let key = redis.keys.of_browser(&[100; 32]);
    redis.run(redis.small_index(key, &[9; 32], until)).await.unwrap();
    let key = redis.keys.index_of(super::super::keys::Index::Links, &[9; 32]);
    redis.run(Redis::large_index(&key, &[9; 32], until)).await.unwrap();
    assert!(bench.store.asked("wiki", [100; 32]).await.unwrap().is_none());
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty());
    assert_eq!(bench.store.revoke_links(Which::All(None)).await.unwrap(), 0);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    assert_eq!(bench.store.asked("wiki", [100; 32]).await.unwrap().unwrap().id, "link-1");
}

#[tokio::test]
async fn the_names_of_a_link_without_an_end_are_found_again_while_it_lets_in_and_go_when_it_does_not() {
    let server = Server::start();
    let (bench, redis) = half(&server);
    let store = &bench.store;
    let link = NewLink { expires_at: None, ..bench.link(1) };
    let letter = NewLetter { expires_at: None, ..bench.letter("letter-1") };
    store.put_link(link, Some(letter)).await.unwrap();
    let names = [redis.keys.link_name("link-1"), redis.keys.letter_name("letter-1")];
    let said = async |what: &str| {
        let mut answers = Vec::new();
        for name in &names {
            let mut command = ::redis::cmd(what);
            command.arg(name);
            let answer = redis.run(Ask::one(name, command)).await.unwrap();
            answers.push(if let Value::Int(number) = answer { number } else { panic!("{answer:?}") });
        }
        answers
    };
    let weeks = |left: &i64| (1..=28 * 24 * 60 * 60 * 1000).contains(left);
    assert!(said("PTTL").await.iter().all(weeks), "no name outlives everything");
    assert_eq!(said("DEL").await, [1, 1]);
    bench.days(8);
    store.sweep().await.unwrap();
    assert!(said("PTTL").await.iter().all(weeks), "they are made anew");
    let leased = store.lease_letters(9, Duration::from_mins(1), "a").await.unwrap();
    store.letter_sent(&leased[0].id, "a").await.unwrap();
    assert_eq!(store.revoke_links(Which::Ids(vec!["link-1".to_owned()])).await.unwrap(), 1);
    bench.days(8);
    store.sweep().await.unwrap();
    assert_eq!(said("EXISTS").await, [0, 0]);
}
