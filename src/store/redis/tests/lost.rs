//! Who is cut off, sent on or not let in: nobody takes silence for news, and what is wrong is said.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::Redis;
use super::super::address::Place;
use super::harness::{Guarded, Server, cli, is_followed, settings, wait_for};
use super::line::Line;
use crate::clock::Clock;
use crate::random::Random;
use crate::store::contract::{Bench, alice};
use crate::store::{News, Redeemed, RedisSettings, Replicas, Settings, StoreError, Which};

fn bench(of: RedisSettings) -> Bench {
    Bench::of(Settings::Redis(of), ())
}

/// Looks again and again, as a gateway does, until it is so.
async fn looks_until(bench: &Bench, seen: i64, so: impl Fn(&Result<News, StoreError>) -> bool) {
    let began = Instant::now();
    loop {
        let news = bench.store.news(seen).await;
        if so(&news) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "still: {news:?}");
    }
}

#[tokio::test]
async fn who_is_connected_to_an_old_master_learns_from_the_sentinels_that_there_is_another() {
    let guarded = Guarded::start();
    let of = settings(&guarded.url());
    let here = bench(of.clone());
    let session = here.signed_in(1).await;
    let seen = here.store.snapshot().await.unwrap().version;
    assert_eq!(here.store.news(seen).await.unwrap(), News::None);
    guarded.isolate();
    let there = bench(of);
    let ended = there.store.revoke_sessions(Which::Ids(vec![session.to_string()])).await.unwrap();
    assert_eq!(ended, [session]);
    looks_until(&here, seen, |news| matches!(news, Ok(News::Ended { .. } | News::Much))).await;
    let revoked = here.store.snapshot().await.unwrap().revoked;
    assert!(revoked.iter().any(|(id, _)| *id == session));
}

#[tokio::test]
async fn who_is_cut_off_together_with_an_old_master_hears_nothing_and_takes_that_for_no_news() {
    let guarded = Guarded::start();
    let [first, second, third] = [0, 1, 2].map(|at: usize| guarded.sentinels[at].port);
    let ((line, cut), (other, other_cut)) = (Line::to_port(second), Line::to_port(third));
    let url =
        format!("redis+sentinel://127.0.0.1:{first},127.0.0.1:{},127.0.0.1:{}/main", line.port, other.port);
    let here = bench(RedisSettings { timeout: Duration::from_secs(2), ..settings(&url) });
    let session = here.signed_in(1).await;
    let seen = here.store.snapshot().await.unwrap().version;
    for cut in [&cut, &other_cut] {
        cut.store(true, Ordering::SeqCst);
    }
    guarded.isolate();
    let there = bench(settings(&guarded.url()));
    there.store.revoke_sessions(Which::Ids(vec![session.to_string()])).await.unwrap();
    let says_so = |news: &Result<News, StoreError>| matches!(news, Err(StoreError::Away(why)) if why.contains("no majority of the 3 sentinels"));
    looks_until(&here, seen, says_so).await;
    // And so it stays, for whatever is asked.
    for _ in 0..3 {
        let news = here.store.news(seen).await;
        assert!(says_so(&news), "{news:?}");
    }
    here.store.snapshot().await.unwrap_err();
    here.store.redeem([1; 32], here.redeemer(1)).await.unwrap_err();
    for cut in [&cut, &other_cut] {
        cut.store(false, Ordering::SeqCst);
    }
    looks_until(&here, seen, |news| matches!(news, Ok(News::Ended { .. } | News::Much))).await;
    assert!(cli(guarded.replica.port, &["role"]).starts_with("master"));
}

#[tokio::test]
async fn behind_sentinels_a_master_without_replicas_lets_nobody_in_unless_that_was_said() {
    let mut guarded = Guarded::start();
    guarded.replica.signal("KILL");
    guarded.spare.signal("KILL");
    let port = guarded.master.port;
    wait_for("the master to miss them", || {
        cli(port, &["info", "replication"]).contains("connected_slaves:0")
    });
    let of = RedisSettings { timeout: Duration::from_secs(2), ..settings(&guarded.url()) };
    let careful = bench(of.clone());
    careful.store.put_link(careful.link(1), None).await.unwrap();
    let refused = careful.store.redeem([1; 32], careful.redeemer(1)).await;
    assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("replica")), "{refused:?}");
    let told = bench(RedisSettings { replicas: Replicas::AtLeast(0), ..of });
    told.store.put_link(told.link(2), None).await.unwrap();
    let redeemed = told.store.redeem([2; 32], told.redeemer(2)).await.unwrap();
    assert!(matches!(redeemed, Redeemed::Redeemed(_)));
}

#[tokio::test]
async fn a_replica_that_confirms_has_been_seen() {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    let url = format!("redis://127.0.0.1:{}", master.port);
    let of = RedisSettings { replicas: Replicas::AtLeast(1), ..settings(&url) };
    let redis = Redis::open(&of, &Clock::system(), &Random::system()).unwrap();
    let server = redis.connection.server(&Place::Tcp("127.0.0.1".to_owned(), master.port));
    assert_eq!(server.has_replicas(), None);
    redis.raise_generation("wiki", &alice()).await.unwrap();
    assert_eq!(server.has_replicas(), Some(true));
}
