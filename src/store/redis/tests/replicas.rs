//! What replicas have not confirmed: waits once, is said again until they have, and is never called confirmed before.

use std::time::Duration;

use super::super::Redis;
use super::super::connection::Ask;
use super::harness::{Server, cli, is_followed, settings, wait_for};
use crate::random::Random;
use crate::store::contract::{Bench, alice};
use crate::store::{RedisSettings, Settings, StoreError, Which};

/// A master with its replica, a patient bench, and a backend that does not wait long.
fn followed() -> (Server, Server, Bench, Redis) {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let bench = Bench::of(Settings::Redis(of.clone()), ());
    let hasty = RedisSettings { timeout: Duration::from_millis(800), ..of };
    let redis = Redis::open(&hasty, &bench.clock, &Random::system()).unwrap();
    (master, replica, bench, redis)
}

fn assert_unconfirmed(outcome: &Result<(), StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Away(why)) if why.contains("no replica has confirmed")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_no_replica_confirms_waits_once_however_often_it_is_said_and_leaves_when_one_does() {
    let (_master, mut replica, bench, redis) = followed();
    let session = bench.signed_in(1).await;
    redis.confirmed().await.unwrap();
    replica.signal("STOP");
    for _ in 0..4 {
        // The first ends it, the others find it ended.
        redis.revoke_sessions(Which::Ids(vec![session.to_string()])).await.unwrap();
    }
    redis.keep_generation("wiki", &alice(), 7);
    redis.keep_generation("wiki", &alice(), 7);
    assert_eq!(redis.repeats.open(), 3, "the session, that it has ended, the generation");
    assert_unconfirmed(&redis.confirmed().await);
    assert_eq!(redis.repeats.open(), 3);
    replica.signal("CONT");
    let port = replica.port;
    // One that did not hear its master for so long may have to begin anew.
    while redis.confirmed().await.is_err() {}
    assert_eq!(redis.repeats.open(), 0);
    assert_eq!(cli(port, &["zcard", "linkgate:{standing}:revoked"]).trim(), "1");
    assert_eq!(cli(port, &["hvals", "linkgate:{standing}:generations"]).trim(), "7");
}

#[tokio::test]
async fn what_finds_no_room_to_wait_is_never_called_confirmed() {
    let (_master, mut replica, bench, redis) = followed();
    bench.signed_in(1).await;
    replica.signal("STOP");
    for number in 0..5_u8 {
        let mut large = ::redis::cmd("SET");
        large.arg("linkgate:x").arg(vec![number; 4 << 20]);
        redis.repeat(vec![Ask::one("linkgate:x", large)]);
    }
    assert_eq!(redis.repeats.open(), 5);
    replica.signal("CONT");
    while redis.repeats.open() > 2 {
        assert_unconfirmed(&redis.confirmed().await);
    }
    assert_eq!(cli(replica.port, &["strlen", "linkgate:x"]).trim(), "4194304", "what had room");
    assert_unconfirmed(&redis.confirmed().await);
}
