//! What replicas have not confirmed: waits once, is said again until they have, and is never called confirmed before.

use std::time::{Duration, Instant};

use super::super::Redis;
use super::super::connection::Ask;
use super::harness::{Cluster, Guarded, Server, cli, is_followed, settings, wait_for};
use crate::random::Random;
use crate::store::contract::{Bench, alice};
use crate::store::{
    CodeRedeemed, LinkFilter, LinkState, NewLink, Redeemed, RedisSettings, Replicas, SessionFilter, Settings,
    StoreError, Which,
};

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
async fn a_redemption_that_no_replica_confirms_lets_nobody_in_and_a_revocation_is_said_again() {
    let (master, mut replica, bench, redis) = followed();
    let session = bench.signed_in(1).await;
    bench.store.put_link(bench.link(2), None).await.unwrap();
    replica.signal("STOP");
    let refused = redis.redeem([2; 32], bench.redeemer(2)).await;
    assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("replica")), "{refused:?}");
    let ids = vec![session.to_string()];
    assert_eq!(redis.revoke_sessions(Which::Ids(ids)).await.unwrap(), [session]);
    let (port, before) = (master.port, waits(master.port));
    let again = move || wait_for("the revocation to be said again and again", || waits(port) > before + 1);
    tokio::task::spawn_blocking(again).await.unwrap();
    replica.signal("CONT");
    let there = replica.port;
    let known = move || cli(there, &["zcard", "linkgate:{standing}:revoked"]).trim() == "1";
    tokio::task::spawn_blocking(move || wait_for("the replica to have it", known)).await.unwrap();
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
async fn where_no_replica_is_wanted_but_one_is_demanded_nobody_is_let_in() {
    let server = Server::start();
    let url = format!("redis+unix://{}", server.socket().display());
    let of = RedisSettings {
        replicas: Replicas::AtLeast(1),
        timeout: Duration::from_millis(400),
        ..settings(&url)
    };
    let content = Bench::of(Settings::Redis(settings(&url)), ());
    content.store.put_link(content.link(1), None).await.unwrap();
    let bench = Bench::of(Settings::Redis(of), ());
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(1)).await, Err(StoreError::Away(_))));
    // Nor is anything promised.
    let refused = bench.store.put_link(bench.link(2), None).await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
}

#[tokio::test]
async fn where_nobody_is_there_to_confirm_a_link_is_not_spent_and_lets_in_once_somebody_is() {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let easy = Bench::of(Settings::Redis(of.clone()), ());
    easy.store.put_link(easy.link(1), None).await.unwrap();
    let bench = Bench::of(Settings::Redis(RedisSettings { replicas: Replicas::AtLeast(1), ..of }), ());
    for _ in 0..2 {
        let refused = bench.store.redeem([1; 32], bench.redeemer(1)).await;
        assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("stays good")), "{refused:?}");
    }
    let link = bench.store.peek_link([1; 32]).await.unwrap().unwrap();
    assert_eq!((link.uses_left, link.used_at), (Some(1), None));
    assert!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().is_empty());
    let replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    let redeemed = bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap();
    assert!(matches!(redeemed, Redeemed::Redeemed(_)), "{redeemed:?}");
}

/// How often `WAIT` was asked so far.
fn waits(port: u16) -> u32 {
    let stats = cli(port, &["info", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_wait:")).unwrap_or_default();
    line.split(['=', ',']).nth(1).and_then(|calls| calls.parse().ok()).unwrap_or(0)
}

async fn two_thousand_links(bench: &Bench) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2_000_u16 {
        let mut token_hash = [7; 32];
        token_hash[..2].copy_from_slice(&number.to_be_bytes());
        let link = NewLink { id: format!("link-{number}"), token_hash, ..bench.link(1) };
        let store = bench.store.clone();
        tasks.spawn(async move { store.put_link(link, None).await.unwrap() });
    }
    tasks.join_all().await;
}

fn revoked_at(port: u16) -> usize {
    let script = "local n = 0 for _, k in ipairs(redis.call('KEYS', 'linkgate:{l:*')) do \
                  n = n + redis.call('HEXISTS', k, 'revoked_at') end return n";
    cli(port, &["eval", script, "0"]).trim().parse().unwrap_or(0)
}

#[tokio::test]
async fn two_thousand_links_are_taken_back_with_a_replica_as_fast_as_without() {
    let alone = Server::on_port(&[]);
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{}", alone.port))), ());
    two_thousand_links(&bench).await;
    let began = Instant::now();
    assert_eq!(bench.store.revoke_links(Which::All(None)).await.unwrap(), 2_000);
    let without = began.elapsed();

    let (master, replica, bench, redis) = followed();
    two_thousand_links(&bench).await;
    let before = waits(master.port);
    let began = Instant::now();
    assert_eq!(redis.revoke_links(Which::All(None)).await.unwrap(), 2_000);
    let with = began.elapsed();
    println!("2,000 links taken back: {without:?} without a replica, {with:?} with one");
    redis.confirmed().await.unwrap();
    let asked = waits(master.port) - before;
    assert!(asked <= 6, "one question for each step, and one more where a script was new: {asked}");
    assert_eq!(revoked_at(replica.port), 2_000, "the replica has them all");
    assert!(with < without * 3 + Duration::from_secs(2), "{with:?} against {without:?}");
}

#[tokio::test]
async fn two_thousand_links_that_no_replica_confirms_are_said_so_once_and_confirmed_later() {
    let (master, mut replica, bench, redis) = followed();
    two_thousand_links(&bench).await;
    redis.version().await.unwrap();
    replica.signal("STOP");
    let before = waits(master.port);
    let began = Instant::now();
    assert_eq!(redis.revoke_links(Which::All(None)).await.unwrap(), 2_000);
    let took = began.elapsed();
    println!("2,000 links taken back while no replica confirms: {took:?}");
    assert!(took < Duration::from_secs(4), "waited for once, not for each: {took:?}");
    assert!(waits(master.port) - before <= 4, "{}", waits(master.port) - before);
    assert_eq!(revoked_at(master.port), 2_000, "in force here");
    assert_unconfirmed(&redis.confirmed().await);
    replica.signal("CONT");
    while redis.confirmed().await.is_err() {}
    assert_eq!(revoked_at(replica.port), 2_000);
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

#[tokio::test]
async fn links_are_all_taken_back_while_slots_move_to_another_server() {
    let cluster = Cluster::start();
    let of = settings(&cluster.url());
    let bench = Bench::of(Settings::Redis(of.clone()), ());
    two_thousand_links(&bench).await;
    let hasty = RedisSettings { timeout: Duration::from_secs(1), ..of };
    let redis = Redis::open(&hasty, &bench.clock, &Random::system()).unwrap();
    let ids = |port: u16| cli(port, &["cluster", "myid"]).trim().to_owned();
    let [first, second] = [0, 1].map(|at: usize| cluster.nodes[at].port);
    let mut reshard = std::process::Command::new("redis-cli")
        .args(["--cluster", "reshard", &format!("127.0.0.1:{first}")])
        .args(["--cluster-from", &ids(first), "--cluster-to", &ids(second), "--cluster-slots", "3000"])
        .arg("--cluster-yes")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut rounds = 0;
    loop {
        // Before the last round, so that one is when all slots are where they will stay.
        let ended = reshard.try_wait().unwrap();
        match redis.revoke_links(Which::All(None)).await {
            Ok(_) => rounds += 1,
            Err(error) => assert!(matches!(error, StoreError::Away(_)), "{error}"),
        }
        if let Some(ended) = ended {
            assert!(ended.success());
            break;
        }
    }
    assert!(rounds > 0);
    while redis.confirmed().await.is_err() {}
    let active = LinkFilter { state: Some(LinkState::Active), ..LinkFilter::default() };
    assert!(bench.store.list_links(active).await.unwrap().is_empty());
    assert!(cli(first, &["info", "errorstats"]).contains("_MOVED"), "nothing met the move");
}

#[tokio::test]
async fn where_nobody_is_there_to_confirm_a_right_code_is_not_claimed_and_no_guess_is_counted() {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let easy = Bench::of(Settings::Redis(of.clone()), ());
    easy.store.put_link(easy.link_with_code(1, 7), None).await.unwrap();
    let bench = Bench::of(Settings::Redis(RedisSettings { replicas: Replicas::AtLeast(1), ..of }), ());
    let guess = async |browser: u8, tag: u8, session: u16| {
        bench.store.redeem_code("wiki", [browser; 32], [tag; 32], bench.redeemer(session)).await
    };
    // Right and wrong, and where no code is awaited at all: they cannot be told apart.
    for (number, (browser, tag)) in [(100, 7), (100, 8), (101, 7), (100, 7)].into_iter().enumerate() {
        let refused = guess(browser, tag, u16::try_from(number).unwrap()).await;
        assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("stays good")), "{refused:?}");
    }
    let replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    assert_eq!(guess(100, 8, 8).await.unwrap(), CodeRedeemed::Wrong { left: 4 });
    let right = guess(100, 7, 9).await.unwrap();
    assert!(matches!(right, CodeRedeemed::Redeemed(_)), "{right:?}");
}

/// What the sentinels lead to, with a deadline of its own.
fn guarded(deadline: Duration) -> (Guarded, Bench, Redis) {
    let guarded = Guarded::start();
    let of = settings(&guarded.url());
    let bench = Bench::of(Settings::Redis(of.clone()), ());
    let redis =
        Redis::open(&RedisSettings { timeout: deadline, ..of }, &bench.clock, &Random::system()).unwrap();
    (guarded, bench, redis)
}

/// Which connection answers what need not be confirmed.
async fn swift(redis: &Redis) -> ::redis::Value {
    let mut id = ::redis::cmd("CLIENT");
    id.arg("ID");
    redis.connection.ask(Ask::one("linkgate:x", id)).await.unwrap().pop().unwrap()
}

/// As many links as strangers may ask for at once, half of them for nobody. Says what was heard.
async fn many_ask(bench: &Bench, redis: &Redis) -> Vec<String> {
    let mut asking = tokio::task::JoinSet::new();
    for number in 1..=30_u8 {
        let (redis, link) = (redis.clone(), bench.link(number));
        let letter = Some(bench.letter(&format!("letter-{number}")));
        asking.spawn(async move {
            if number % 2 == 0 {
                redis.pretend_link(link, letter).await
            } else {
                redis.put_link(link, letter).await
            }
        });
    }
    let heard = asking.join_all().await.into_iter();
    heard.map(|outcome| outcome.unwrap_err().to_string()).collect()
}

#[tokio::test]
async fn behind_sentinels_where_nobody_is_there_to_confirm_strangers_wait_for_nobody() {
    let (mut guarded, bench, redis) = guarded(Duration::from_secs(5));
    guarded.replica.signal("KILL");
    guarded.spare.signal("KILL");
    let port = guarded.master.port;
    wait_for("the master to miss them", || {
        cli(port, &["info", "replication"]).contains("connected_slaves:0")
    });
    let before = (swift(&redis).await, waits(port));
    for heard in many_ask(&bench, &redis).await {
        assert!(heard.contains("no replica is there to confirm"), "{heard}");
    }
    assert_eq!((swift(&redis).await, waits(port)), before);
    assert_eq!(cli(port, &["--scan", "--pattern", "linkgate:{l:*"]).trim(), "");
}

#[tokio::test]
async fn behind_sentinels_strangers_whose_time_is_up_cut_no_line_but_their_own() {
    let (mut guarded, bench, redis) = guarded(Duration::from_secs(3));
    // Once, so that the scripts are known.
    redis.pretend_link(bench.link(40), Some(bench.letter("letter-40"))).await.unwrap();
    // Still connected, as far as the master knows.
    guarded.replica.signal("STOP");
    guarded.spare.signal("STOP");
    let before = swift(&redis).await;
    let mut heard = many_ask(&bench, &redis).await;
    // What the first left behind has ended by then.
    heard.extend(many_ask(&bench, &redis).await);
    assert!(heard.iter().any(|heard| !heard.contains("no replica")), "nobody's time was up: {heard:?}");
    assert!(redis.connection.known_master().is_some());
    assert_eq!(swift(&redis).await, before);
}

#[tokio::test]
async fn behind_sentinels_a_master_that_falls_silent_is_found_out_by_redemptions_alone() {
    let (mut guarded, bench, redis) = guarded(Duration::from_secs(1));
    let session = bench.signed_in(1).await;
    assert!(redis.resume([1; 32], session).await.unwrap().is_some());
    guarded.master.signal("STOP");
    let began = Instant::now();
    // The first word of a resumption is one that replicas must confirm.
    while !matches!(redis.resume([1; 32], session).await, Ok(Some(_))) {
        assert!(began.elapsed() < Duration::from_secs(15), "still away");
    }
    assert!(cli(guarded.replica.port, &["role"]).starts_with("master"));
}
