//! The contract's cases on every way that servers hang together, and what only those ways know: replicas, fail-over, slots
//! that move, certificates, users.

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::keys::Keys;
use super::harness::{Cluster, Guarded, Server, cli, is_followed, settings, wait_for};
use crate::secret::Secret;
use crate::store::contract::{self, Bench, every_case};
use crate::store::{LinkFilter, NewLink, Redeemed, RedisSettings, Settings, StoreError};

type Case = (&'static str, fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! list {
    ($($room:ident::$case:ident,)*) => {
        &[$((
            concat!(stringify!($room), "::", stringify!($case)),
            |bench| Box::pin(contract::$room::$case(bench)),
        ),)*]
    };
}
const CASES: &[Case] = every_case!(list!());

/// Every case on the same servers, each under a prefix of its own.
pub(super) async fn every_case_on(of: RedisSettings) {
    for (number, (name, case)) in CASES.iter().enumerate() {
        let settings = RedisSettings { prefix: format!("{}{number}:", of.prefix), ..of.clone() };
        let outcome = tokio::spawn(case(Bench::of(Settings::Redis(settings), ()))).await;
        assert!(outcome.is_ok(), "{name} failed; what it said is above");
    }
}

pub(super) fn bench(of: RedisSettings) -> Bench {
    Bench::of(Settings::Redis(of), ())
}

/// Asks until Redis is there again, as visitors do.
pub(super) async fn soon<T>(mut ask: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(StoreError::Away(why)) => {
                assert!(began.elapsed() < Duration::from_secs(40), "still away: {why}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_cluster_of_six_keeps_the_contract() {
    let cluster = Cluster::start();
    every_case_on(settings(&cluster.url())).await;
}

#[tokio::test]
async fn sentinels_lead_to_a_master_that_keeps_the_contract() {
    let guarded = Guarded::start();
    every_case_on(settings(&guarded.url())).await;
}

#[tokio::test]
async fn after_a_fail_over_what_was_redeemed_stays_redeemed() {
    let mut guarded = Guarded::start();
    let of = RedisSettings { timeout: Duration::from_secs(1), ..settings(&guarded.url()) };
    let bench = bench(of);
    for number in 1..=40 {
        let link = NewLink { expires_at: None, ..bench.link(number) };
        soon(async || bench.store.put_link(link.clone(), None).await).await;
    }
    for number in 1..=20 {
        let by = bench.redeemer(u16::from(number));
        let redeemed = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert!(matches!(redeemed, Redeemed::Redeemed(_)));
    }
    guarded.master.signal("KILL");
    // Somebody else comes with each link: used up is used up.
    for number in 1..=20 {
        let by = bench.redeemer(1000 + u16::from(number));
        let second = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert!(matches!(second, Redeemed::Used(_)), "{number}: {second:?}");
    }
    assert!(cli(guarded.replica.port, &["role"]).starts_with("master"));
    for number in 21..=40 {
        let by = bench.redeemer(u16::from(number));
        let redeemed = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert!(matches!(redeemed, Redeemed::Redeemed(_)));
    }
}

#[tokio::test]
async fn a_master_that_comes_back_after_a_fail_over_gives_no_link_a_second_time() {
    let mut guarded = Guarded::start();
    let of = RedisSettings { timeout: Duration::from_secs(1), ..settings(&guarded.url()) };
    let bench = bench(of);
    for number in 1..=20 {
        let link = NewLink { expires_at: None, ..bench.link(number) };
        soon(async || bench.store.put_link(link.clone(), None).await).await;
    }
    let (master, replica) = (guarded.master.port, guarded.replica.port);
    wait_for("the replica to have every link", || cli(master, &["dbsize"]) == cli(replica, &["dbsize"]));
    guarded.master.signal("STOP");
    for number in 1..=10 {
        let by = bench.redeemer(u16::from(number));
        let redeemed = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert!(matches!(redeemed, Redeemed::Redeemed(_)));
    }
    // It believes that it is the master still, until the sentinels tell it.
    guarded.master.signal("CONT");
    for number in 1..=20 {
        let by = bench.redeemer(1000 + u16::from(number));
        let second = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert_eq!(matches!(second, Redeemed::Redeemed(_)), number > 10, "{number}: {second:?}");
    }
    wait_for("the old master to follow the new one", || cli(master, &["role"]).starts_with("slave"));
    let by = bench.redeemer(3000);
    assert!(matches!(soon(async || bench.store.redeem([5; 32], by.clone()).await).await, Redeemed::Used(_)));
}

#[tokio::test]
async fn a_fail_over_in_mid_redemption_gives_each_link_to_one_of_two_rivals() {
    const LINKS: u16 = 300;
    let mut guarded = Guarded::start();
    let of = RedisSettings { timeout: Duration::from_secs(1), ..settings(&guarded.url()) };
    let bench = bench(of);
    let hash = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut hash = [high; 32];
        hash[31] = low;
        hash
    };
    for number in 0..LINKS {
        let id = format!("link-{number}");
        let link =
            NewLink { id, token_hash: hash(number), expires_at: None, nonce_hash: None, ..bench.link(1) };
        soon(async || bench.store.put_link(link.clone(), None).await).await;
    }
    let (master, replica) = (guarded.master.port, guarded.replica.port);
    wait_for("the replica to have every link", || cli(master, &["dbsize"]) == cli(replica, &["dbsize"]));
    let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
    for rival in 0..2_u16 {
        let (store, report) = (bench.another(), report.clone());
        let redeemers: Vec<_> = (0..LINKS).map(|number| bench.redeemer(number + rival * 10_000)).collect();
        tokio::spawn(async move {
            for (number, by) in (0..LINKS).zip(redeemers) {
                // The same session asks again: whether it had won already is for the store to know.
                let mut outcome = store.redeem(hash(number), by.clone()).await;
                while matches!(outcome, Err(StoreError::Away(_))) {
                    outcome = store.redeem(hash(number), by.clone()).await;
                }
                report
                    .send((number, outcome.map(|outcome| matches!(outcome, Redeemed::Redeemed(_)))))
                    .unwrap();
            }
        });
    }
    drop(report);
    let (mut winners, mut heard) = (vec![0; usize::from(LINKS)], 0);
    while let Some((number, outcome)) = reports.recv().await {
        winners[usize::from(number)] += u32::from(outcome.unwrap());
        heard += 1;
        if heard == LINKS / 2 {
            guarded.master.signal("KILL");
        }
    }
    assert_eq!(heard, 2 * LINKS);
    assert!(winners.iter().all(|winners| *winners == 1), "{winners:?}");
    assert!(cli(replica, &["role"]).starts_with("master"));
}

#[tokio::test]
async fn a_master_that_has_just_lost_its_replicas_lets_nobody_in_without_them() {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let mut replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let bench = bench(RedisSettings { timeout: Duration::from_secs(3), ..of });
    bench.signed_in(1).await;
    bench.store.put_link(bench.link(2), None).await.unwrap();
    replica.signal("KILL");
    wait_for("the master to miss it", || {
        cli(master.port, &["info", "replication"]).contains("connected_slaves:0")
    });
    // It may be this side that was cut off: the others may have another master by now.
    let refused = bench.store.redeem([2; 32], bench.redeemer(2)).await;
    assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("replica")), "{refused:?}");
}

#[tokio::test]
async fn a_replica_that_has_just_come_is_asked_from_then_on() {
    let master = Server::on_port(&["--repl-diskless-sync-delay", "0"]);
    let of = settings(&format!("redis://127.0.0.1:{}", master.port));
    let bench = bench(RedisSettings { timeout: Duration::from_secs(3), ..of });
    // Nobody is there to confirm, as with a master that has just been made one.
    bench.signed_in(1).await;
    let mut replica = Server::on_port(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for("the replica", || is_followed(master.port, replica.port));
    bench.signed_in(2).await;
    bench.store.put_link(bench.link(3), None).await.unwrap();
    replica.signal("KILL");
    wait_for("the master to miss it", || {
        cli(master.port, &["info", "replication"]).contains("connected_slaves:0")
    });
    let refused = bench.store.redeem([3; 32], bench.redeemer(3)).await;
    assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("replica")), "{refused:?}");
}

#[tokio::test]
async fn a_node_of_a_cluster_dies_and_its_replica_goes_on() {
    let mut cluster = Cluster::start();
    let of = RedisSettings { timeout: Duration::from_secs(1), ..settings(&cluster.url()) };
    let bench = bench(of);
    for number in 1..=30 {
        let link = NewLink { expires_at: None, ..bench.link(number) };
        soon(async || bench.store.put_link(link.clone(), None).await).await;
        let by = bench.redeemer(u16::from(number));
        soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
    }
    let ended = soon(async || bench.store.revoke_sessions(crate::store::Which::All(None)).await).await;
    assert_eq!(ended.len(), 30);
    // The one that knows who has ended.
    cluster.master_of("linkgate:{standing}:version").signal("KILL");
    let snapshot = soon(async || bench.store.snapshot().await).await;
    assert_eq!(snapshot.revoked.len(), 30, "what was ended stays ended");
    for number in 1..=30 {
        let by = bench.redeemer(1000 + u16::from(number));
        let second = soon(async || bench.store.redeem([number; 32], by.clone()).await).await;
        assert!(matches!(second, Redeemed::Used(_)), "{number}: {second:?}");
    }
}

#[tokio::test]
async fn slots_move_while_links_are_redeemed_and_each_is_redeemed_once() {
    let cluster = Cluster::start();
    let bench = bench(settings(&cluster.url()));
    let other = bench.another();
    let ids = |port: u16| cli(port, &["cluster", "myid"]).trim().to_owned();
    let [first, second] = [0, 1].map(|at: usize| cluster.nodes[at].port);
    // More than anybody signs in with meanwhile, so that slots are full while they move.
    let link = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut token_hash = [high; 32];
        token_hash[31] = low;
        NewLink { id: format!("link-{number}"), token_hash, nonce_hash: None, ..bench.link(1) }
    };
    for number in 0..1000 {
        bench.store.put_link(link(number), None).await.unwrap();
    }
    let mut reshard = Command::new("redis-cli")
        .args(["--cluster", "reshard", &format!("127.0.0.1:{first}")])
        .args(["--cluster-from", &ids(first), "--cluster-to", &ids(second), "--cluster-slots", "5000"])
        .arg("--cluster-yes")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut number = 0;
    while reshard.try_wait().unwrap().is_none() {
        // Once all are spent there are always new ones.
        if number >= 1000 {
            soon(async || bench.store.put_link(link(number), None).await).await;
        }
        let hash = link(number).token_hash;
        let (one, two) = (bench.redeemer(number), bench.redeemer(number + 30_000));
        let (one, two) = tokio::join!(
            soon(async || bench.store.redeem(hash, one.clone()).await),
            soon(async || other.redeem(hash, two.clone()).await),
        );
        let won = [&one, &two].into_iter().filter(|outcome| matches!(outcome, Redeemed::Redeemed(_))).count();
        assert_eq!(won, 1, "{one:?} {two:?}");
        number += 1;
    }
    assert!(reshard.wait().unwrap().success());
    let sent_on: Vec<String> =
        cluster.nodes.iter().map(|node| cli(node.port, &["info", "errorstats"])).collect();
    assert!(sent_on.iter().any(|stats| stats.contains("_MOVED")), "nothing met the move: {sent_on:?}");
    let listed = bench.store.list_links(LinkFilter::default()).await.unwrap().len();
    assert_eq!(listed, usize::from(number.max(1000)));
}

/// What docs/redis.md says that a user needs.
pub(super) const RIGHTS: &[&str] = &[
    "on",
    ">correct horse",
    "resetkeys",
    "~linkgate:*",
    "resetchannels",
    "&linkgate:*",
    "-@all",
    "+@read",
    "+@write",
    "+@transaction",
    "+@scripting",
    "+@pubsub",
    "+@connection",
    "+time",
    "+wait",
    "+role",
    "+cluster|slots",
    "+asking",
    "+select",
    "-@dangerous",
    "+role",
];

#[tokio::test]
async fn a_user_with_a_password_and_few_rights_keeps_the_contract_and_others_stay_outside() {
    let server = Server::start();
    let socket = server.socket().display().to_string();
    let told = |arguments: &[&str]| {
        let output = Command::new("redis-cli").args(["-s", &socket]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), "OK");
    };
    told(&[&["acl", "setuser", "gate"], RIGHTS].concat());
    told(&["config", "set", "requirepass", "another"]);
    let url = format!("redis+unix://{socket}");
    let of = |user: &str, password: &str| RedisSettings {
        user: user.to_owned(),
        password: Some(Secret::new(password.to_owned())),
        ..settings(&url)
    };
    every_case_on(of("gate", "correct horse")).await;
    every_case_on(RedisSettings { prefix: "x:".into(), ..of("", "another") }).await;
    let third = RedisSettings { url: format!("{url}?db=3"), ..of("gate", "correct horse") };
    bench(third).signed_in(1).await;
    let wrong = bench(of("gate", "wrong")).store.version().await.unwrap_err();
    assert!(!wrong.to_string().contains("wrong "), "no password is said");
    assert!(matches!(wrong, StoreError::Away(_)));
    let nobody = bench(settings(&url)).store.version().await.unwrap_err();
    assert!(nobody.to_string().contains("password_file"), "{nobody}");
    let foreign = bench(RedisSettings { prefix: "theirs:".into(), ..of("gate", "correct horse") });
    let refused = foreign.store.version().await.unwrap_err();
    assert!(refused.to_string().contains("docs/redis.md"), "{refused}");
}

#[tokio::test]
async fn the_same_user_follows_a_slot_that_is_moving_and_hears_at_once_what_right_is_missing() {
    let mut cluster = Cluster::start();
    for node in &cluster.nodes {
        assert_eq!(cli(node.port, &[&["acl", "setuser", "gate"], RIGHTS].concat()).trim(), "OK");
    }
    let bench = bench(RedisSettings {
        user: "gate".to_owned(),
        password: Some(Secret::new("correct horse".to_owned())),
        ..settings(&cluster.url())
    });
    let key = Keys::new("linkgate:").link(&[1; 32]);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    // In the middle of its move: the key is there already, the slot is here still.
    let from = cluster.master_of(&key).port;
    let masters = (0..=255).map(|other| cluster.master_of(&format!("{{{other}}}")).port);
    let to = masters.into_iter().find(|port| *port != from).unwrap();
    let [giver, taker] = [from, to].map(|port| cli(port, &["cluster", "myid"]).trim().to_owned());
    let slot = cli(from, &["cluster", "keyslot", &key]).trim().to_owned();
    cli(to, &["cluster", "setslot", &slot, "importing", &giver]);
    cli(from, &["cluster", "setslot", &slot, "migrating", &taker]);
    assert_eq!(cli(from, &["migrate", "127.0.0.1", &to.to_string(), &key, "0", "30000"]).trim(), "OK");
    assert!(bench.store.peek_link([1; 32]).await.unwrap().is_some());
    // A server whose groups of commands do not hold it, and a line without it.
    for node in &cluster.nodes {
        assert_eq!(cli(node.port, &["acl", "setuser", "gate", "-asking"]).trim(), "OK");
    }
    let said = |error: StoreError| assert!(error.to_string().contains("see the ACL line"), "{error}");
    let began = Instant::now();
    said(bench.store.peek_link([1; 32]).await.unwrap_err());
    said(bench.store.resume([1; 32], bench.redeemer(1).session).await.unwrap_err());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for node in &cluster.nodes {
        assert_eq!(cli(node.port, &["acl", "setuser", "gate", "+asking"]).trim(), "OK");
    }
    let redeemed = bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap();
    assert!(matches!(redeemed, Redeemed::Redeemed(_)), "{redeemed:?}");
}

#[tokio::test]
async fn two_prefixes_share_a_redis_and_nothing_in_it() {
    let server = Server::start();
    let url = format!("redis+unix://{}?db=3", server.socket().display());
    let of = |prefix: &str| bench(RedisSettings { prefix: prefix.to_owned(), ..settings(&url) });
    let (one, two) = (of("one:"), of("two:"));
    one.store.put_link(one.link(1), None).await.unwrap();
    assert!(two.store.peek_link([1; 32]).await.unwrap().is_none());
    two.store.put_link(two.link(1), None).await.unwrap();
    assert!(matches!(two.store.redeem([1; 32], two.redeemer(1)).await.unwrap(), Redeemed::Redeemed(_)));
    assert!(matches!(one.store.redeem([1; 32], one.redeemer(1)).await.unwrap(), Redeemed::Redeemed(_)));
}

#[tokio::test]
async fn a_redis_that_would_lose_sessions_is_told_of_and_a_good_one_is_not() {
    let advice = async |server: &Server, user: &str| {
        let password = (!user.is_empty()).then(|| Secret::new("correct horse".to_owned()));
        let of = settings(&format!("redis+unix://{}", server.socket().display()));
        let of = RedisSettings { user: user.to_owned(), password, ..of };
        let (clock, random) = (crate::clock::Clock::system(), crate::random::Random::system());
        super::super::Redis::open(&of, &clock, &random).unwrap().advice().await.unwrap().join("; ")
    };
    let bad = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let said = advice(&bad, "").await;
    assert!(said.contains("noeviction") && said.contains("appendonly yes"), "{said}");
    let good = Server::with(&["--appendonly", "yes", "--maxmemory", "100mb"]);
    assert_eq!(advice(&good, "").await, "");
    let socket = good.socket().display().to_string();
    Command::new("redis-cli").args(["-s", &socket, "acl", "setuser", "gate"]).args(RIGHTS).output().unwrap();
    assert!(advice(&good, "gate").await.contains("may not look"));
}
