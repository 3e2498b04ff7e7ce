//! Letters where a server may be lost: what was promised is sent, and by one alone.

use std::time::{Duration, Instant};

use super::super::keys::{Index, Keys};
use super::harness::{Cluster, Guarded, Server, cli, is_followed, settings, wait_for};
use crate::store::contract::{Bench, alice};
use crate::store::{LetterState, NewLetter, NewLink, RedisSettings, Settings, StoreError};

const LEASE: Duration = Duration::from_mins(1);

/// A master with its replica, and a bench that does not wait long.
fn followed() -> (Server, Server, Bench) {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let bench = Bench::of(Settings::Redis(RedisSettings { timeout: Duration::from_secs(2), ..of }), ());
    (master, replica, bench)
}

#[tokio::test]
async fn what_no_replica_has_heard_of_is_neither_kept_nor_sent() {
    let (_master, mut replica, bench) = followed();
    bench.store.put_link(bench.link(1), Some(bench.letter("letter-1"))).await.unwrap();
    replica.signal("STOP");
    for (number, pretended) in [(2, false), (3, true)] {
        let (link, letter) = (bench.link(number), Some(bench.letter("letter")));
        let put = async {
            if pretended {
                bench.store.pretend_link(link, letter).await
            } else {
                bench.store.put_link(link, letter).await
            }
        };
        let refused = put.await;
        assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("no replica")), "{refused:?}");
        assert!(bench.store.peek_link([number; 32]).await.unwrap().is_none());
    }
    // Whose it is no replica knows: another might lease it after a fail-over.
    assert!(bench.store.lease_letters(9, LEASE, "a").await.unwrap().is_empty());
    replica.signal("CONT");
    assert!(bench.store.lease_letters(9, LEASE, "a").await.unwrap().is_empty());
    bench.minutes(1);
    let leased = bench.store.lease_letters(9, LEASE, "b").await.unwrap();
    assert_eq!(leased.len(), 1, "sent a little later");
}

#[tokio::test]
async fn of_a_link_that_is_only_pretended_nothing_stays() {
    let (master, _replica, bench) = followed();
    let count = || cli(master.port, &["dbsize"]).trim().to_owned();
    bench.store.snapshot().await.unwrap();
    let before = count();
    bench.store.pretend_link(bench.link_with_code(1, 7), Some(bench.letter("letter-1"))).await.unwrap();
    wait_for("what was written to be gone", || count() == before);
    assert!(bench.store.peek_link([1; 32]).await.unwrap().is_none());
    assert!(bench.store.list_letters().await.unwrap().is_empty());
    assert_eq!(bench.store.next_letter_at().await.unwrap(), None);
}

#[tokio::test]
async fn in_a_cluster_of_which_a_part_confirms_nothing_a_pretended_link_fails_where_a_real_one_would() {
    let mut cluster = Cluster::start();
    let of = settings(&cluster.url());
    let bench = Bench::of(Settings::Redis(RedisSettings { timeout: Duration::from_secs(3), ..of }), ());
    // Every master knows the scripts, and every line is open.
    for number in 100..120 {
        bench.store.pretend_link(bench.link(number), None).await.unwrap();
    }
    // A master that holds nothing which every link of this person needs.
    let person = Keys::new("linkgate:").of_person(&alice(), Index::Links);
    let common = cluster.master_of(&person).port;
    let follows = |port: u16| {
        let role = cli(port, &["role"]);
        let mut lines = role.lines();
        (lines.next() == Some("slave"))
            .then(|| lines.nth(1).and_then(|port| port.parse::<u16>().ok()))
            .flatten()
    };
    let others = cluster.nodes.iter_mut().filter(|node| follows(node.port).is_some_and(|of| of != common));
    others.take(1).for_each(|replica| replica.signal("STOP"));
    let mut outcomes = Vec::new();
    for number in 1..=12 {
        let link = || NewLink { nonce_hash: None, ..bench.link(number) };
        let pretended = bench.store.pretend_link(link(), None).await.is_ok();
        let meant = bench.store.put_link(link(), None).await.is_ok();
        outcomes.push((pretended, meant));
    }
    assert!(outcomes.iter().all(|(pretended, meant)| pretended == meant), "{outcomes:?}");
    assert!(outcomes.contains(&(true, true)) && outcomes.contains(&(false, false)), "{outcomes:?}");
}

#[tokio::test]
async fn a_letter_that_is_dropped_while_no_replica_hears_can_be_dropped_again() {
    let (_master, mut replica, bench) = followed();
    let ids = ["letter-1".to_owned()];
    bench.store.put_link(bench.link(1), Some(bench.letter("letter-1"))).await.unwrap();
    replica.signal("STOP");
    for _ in 0..2 {
        assert_eq!(bench.store.drop_letters(&ids).await.unwrap(), 1);
        assert!(bench.store.list_letters().await.unwrap().is_empty());
    }
    replica.signal("CONT");
    assert_eq!(bench.store.drop_letters(&ids).await.unwrap(), 1);
    assert_eq!(bench.store.drop_letters(&ids).await.unwrap(), 0, "confirmed: nobody knows it any more");
    assert!(bench.store.peek_link([1; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn letters_that_were_promised_before_a_fail_over_are_sent_after_it_each_once() {
    const LETTERS: u8 = 30;
    let mut guarded = Guarded::start();
    let of = RedisSettings { timeout: Duration::from_secs(3), ..settings(&guarded.url()) };
    let bench = Bench::of(Settings::Redis(of), ());
    for number in 1..=LETTERS {
        let link = NewLink { expires_at: None, ..bench.link(number) };
        let letter = NewLetter { expires_at: None, ..bench.letter(&format!("letter-{number}")) };
        bench.store.put_link(link, Some(letter)).await.unwrap();
    }
    // Some are on their way already.
    let mut sent = Vec::new();
    for letter in bench.store.lease_letters(10, LEASE, "a").await.unwrap() {
        sent.push(letter.id);
    }
    assert_eq!(sent.len(), 10);
    guarded.master.signal("KILL");
    let began = Instant::now();
    let mut told = 0;
    while sent.len() < usize::from(LETTERS) || told < sent.len() {
        assert!(began.elapsed() < Duration::from_mins(1), "{} sent, {told} told", sent.len());
        if let Some(id) = sent.get(told) {
            told += usize::from(bench.store.letter_sent(id, "a").await.is_ok());
            continue;
        }
        let more = bench.store.lease_letters(7, LEASE, "a").await.unwrap_or_default();
        sent.extend(more.into_iter().map(|letter| letter.id));
        // What nobody confirmed is not sent by who leased it, and comes again.
        bench.minutes(1);
    }
    let mut once = sent.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), sent.len(), "none twice");
    bench.minutes(1);
    assert!(bench.store.lease_letters(99, LEASE, "b").await.unwrap().is_empty());
    let listed = bench.store.list_letters().await.unwrap();
    assert_eq!(listed.len(), usize::from(LETTERS));
    assert!(listed.iter().all(|letter| letter.state == LetterState::Sent));
}

#[tokio::test]
async fn letters_whose_slot_has_just_moved_are_leased_at_the_first_look() {
    let mut cluster = Cluster::start();
    let bench = Bench::of(Settings::Redis(settings(&cluster.url())), ());
    for number in 1..=12 {
        bench
            .store
            .put_link(bench.link(number), Some(bench.letter(&format!("letter-{number}"))))
            .await
            .unwrap();
    }
    let keys = Keys::new("linkgate:");
    // Half of what each master holds goes elsewhere; the map that is known is old then.
    for number in (1..=12).step_by(2) {
        let key = keys.link(&[number; 32]);
        let from = cluster.master_of(&key).port;
        let to = (1..=12).map(|other| cluster.master_of(&keys.link(&[other; 32])).port);
        let to = to.into_iter().find(|port| *port != from).unwrap();
        cluster.move_slot(&key, to);
    }
    let leased = bench.store.lease_letters(50, LEASE, "a").await.unwrap();
    assert_eq!(leased.len(), 12, "none is leased and left unsent");
}

#[tokio::test]
async fn letters_of_a_part_that_is_away_hold_up_no_others() {
    let mut cluster = Cluster::start();
    let of = settings(&cluster.url());
    let bench = Bench::of(Settings::Redis(of.clone()), ());
    let hasty = Bench::of(Settings::Redis(RedisSettings { timeout: Duration::from_secs(2), ..of }), ());
    let keys = Keys::new("linkgate:");
    for node in &cluster.nodes {
        assert_eq!(cli(node.port, &["config", "set", "cluster-require-full-coverage", "no"]).trim(), "OK");
    }
    let needed = [keys.letters(), keys.standing("fence")].map(|key| cluster.master_of(&key).port);
    let mut parts = Vec::new();
    for number in 1..=24 {
        bench
            .store
            .put_link(bench.link(number), Some(bench.letter(&format!("letter-{number}"))))
            .await
            .unwrap();
        parts.push(cluster.master_of(&keys.link(&[number; 32])).port);
    }
    let away = *parts.iter().find(|port| !needed.contains(port)).unwrap();
    let id = cli(away, &["cluster", "myid"]).trim().to_owned();
    let follows = |port: u16| {
        let known = cli(port, &["cluster", "nodes"]);
        known.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
    };
    let replica = cluster.nodes.iter().map(|node| node.port).find(|port| follows(*port)).unwrap();
    let gone = cluster.nodes.iter_mut().filter(|node| [away, replica].contains(&node.port));
    gone.for_each(|node| node.signal("KILL"));
    let reachable = parts.iter().filter(|port| **port != away).count();
    let mut leased = 0;
    for _ in 0..24 {
        // Fewer at once than are away: those at the front must not stand in the way of the others.
        leased += hasty.store.lease_letters(4, LEASE, "a").await.unwrap_or_default().len();
        if leased == reachable {
            return;
        }
    }
    panic!("{leased} of {reachable} letters that could be sent");
}
