//! Walks in the middle of which the server is replaced: whoever goes on has another order of everything, and no cursor of
//! the old one means anything there.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::super::Redis;
use super::super::keys::Index;
use super::harness::{Cluster, Guarded, Server, cli, settings, wait_for};
use super::line::Line;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::random::Random;
use crate::store::{RedisSettings, StoreError};

const MANY: usize = 6000;

/// Ended sessions, generations, and one part of the index of sessions, so many of each.
const FILL: &str = "for at = 1, tonumber(ARGV[1]) do
  redis.call('ZADD', 'linkgate:{standing}:revoked', 1900000000000, string.format('%016d', at))
  redis.call('HSET', 'linkgate:{standing}:generations', 'wiki\\0p' .. at .. '@example.com', 1)
end
redis.call('SET', 'linkgate:{standing}:version', 1)
return 'OK'";

const FILL_INDEX: &str = "for at = 1, tonumber(ARGV[1]) do
  redis.call('ZADD', 'linkgate:{i:00}:sessions', 1900000000000, string.format('%016d', at))
end
return 'OK'";

fn open(of: &RedisSettings) -> Redis {
    let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
    Redis::open(of, &clock, &Random::system()).unwrap()
}

fn filled(to: &[&str]) {
    for fill in [FILL, FILL_INDEX] {
        // A Cluster's parts are filled through whichever node holds them.
        let key = if fill == FILL { "linkgate:{standing}:revoked" } else { "linkgate:{i:00}:sessions" };
        let arguments = ["eval", fill, "1", key, &MANY.to_string()].map(str::to_owned);
        let said = Command::new("redis-cli").args(to).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.trim().ends_with("OK"), "{said}");
    }
}

/// Reads everything, and complains where something was passed over.
async fn all_is_found(redis: &Redis) -> Result<(), StoreError> {
    let snapshot = redis.snapshot().await?;
    assert_eq!((snapshot.revoked.len(), snapshot.people.len()), (MANY, MANY));
    assert_eq!(redis.members(Index::Sessions, None).await?.len(), MANY);
    Ok(())
}

/// Whether this asks for another step of a walk that is under way: `SCAN`, the key, its cursor.
fn goes_on(asked: &[u8]) -> bool {
    let asked = String::from_utf8_lossy(asked);
    let cursor = asked.split("SCAN\r\n").nth(1).and_then(|rest| rest.split("\r\n").nth(3));
    cursor.is_some_and(|cursor| cursor != "0")
}

#[tokio::test]
async fn a_walk_in_the_middle_of_which_the_server_is_started_anew_passes_nothing_over() {
    const WHEN: [u32; 4] = [3, 12, 21, 30];
    let server = Server::with(&["--appendonly", "yes"]);
    let socket = server.socket();
    filled(&["-s", &socket.display().to_string()]);
    let (server, restarts) = (Arc::new(Mutex::new(server)), Arc::new(AtomicU32::new(0)));
    let (held, counted, mut steps) = (Arc::downgrade(&server), Arc::clone(&restarts), 0);
    let line = Line::to(socket, move |asked| {
        steps += u32::from(goes_on(asked));
        let now = goes_on(asked) && WHEN.contains(&steps);
        if let Some(server) = held.upgrade().filter(|_| now) {
            let mut server = server.lock().unwrap();
            server.signal("KILL");
            server.start_again();
            counted.fetch_add(1, Ordering::SeqCst);
        }
        now
    });
    let redis = open(&settings(&format!("redis://127.0.0.1:{}", line.port)));
    for _ in 0..3 {
        all_is_found(&redis).await.unwrap();
    }
    assert_eq!(restarts.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_walk_that_never_gets_on_ends_with_an_error() {
    let server = Server::start();
    filled(&["-s", &server.socket().display().to_string()]);
    // Whatever goes on breaks once, and is heard when it is asked again on a new connection.
    let mut again = true;
    let line = Line::to(server.socket(), move |asked| {
        again ^= goes_on(asked);
        goes_on(asked) && !again
    });
    let redis = open(&settings(&format!("redis://127.0.0.1:{}", line.port)));
    let said = redis.snapshot().await.unwrap_err();
    assert!(matches!(&said, StoreError::Away(why) if why.contains("again and again")), "{said:?}");
}

#[tokio::test]
async fn a_walk_in_the_middle_of_which_the_sentinels_choose_another_master_passes_nothing_over() {
    let mut guarded = Guarded::start();
    let (master, replica) = (guarded.master.port, guarded.replica.port);
    filled(&["-p", &master.to_string()]);
    wait_for("the replica to have everything", || {
        cli(replica, &["zcard", "linkgate:{i:00}:sessions"]).trim() == MANY.to_string()
    });
    let redis = open(&settings(&guarded.url()));
    let (walking, mut walks) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        // One walk after the other, so that the end of the master comes in the middle of one.
        while !walking.is_closed() {
            let found = redis.members(Index::Sessions, None).await.unwrap();
            assert_eq!(found.len(), MANY);
            walking.send_modify(|walks| *walks += 1);
        }
    });
    walks.wait_for(|walks| *walks >= 3).await.unwrap();
    guarded.master.signal("KILL");
    let before = *walks.borrow();
    let on = walks.wait_for(|walks| *walks >= before + 3).await.map(drop);
    drop(walks);
    reading.await.unwrap();
    on.unwrap();
    assert!(cli(replica, &["role"]).starts_with("master"));
}

#[tokio::test]
async fn a_walk_in_the_middle_of_which_the_slot_moves_passes_nothing_over() {
    let mut cluster = Cluster::start();
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    filled(&["-c", "-p", &ports[0].to_string()]);
    let redis = open(&settings(&cluster.url()));
    redis.snapshot().await.unwrap();
    let (walking, mut walks) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        while !walking.is_closed() {
            all_is_found(&redis).await.unwrap();
            walking.send_modify(|walks| *walks += 1);
        }
    });
    // To and fro among the three masters, while one walk follows the other.
    let moving = tokio::task::spawn_blocking(move || {
        for at in 0..24 {
            cluster.move_slot("linkgate:{standing}:version", ports[at % 3]);
        }
        cluster
    });
    let _cluster = moving.await.unwrap();
    let before = *walks.borrow();
    let on = walks.wait_for(|walks| *walks > before).await.map(drop);
    drop(walks);
    reading.await.unwrap();
    on.unwrap();
}
