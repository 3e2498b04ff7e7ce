//! Who is cut off, sent on or not let in: nobody takes silence for news, and what is wrong is said.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::Redis;
use super::super::address::Place;
use super::harness::{Cluster, Guarded, Server, cli, is_followed, settings, wait_for};
use super::line::Line;
use crate::clock::Clock;
use crate::random::Random;
use crate::secret::Secret;
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
    looks_until(&here, seen, |news| matches!(news, Ok(News::Told { .. } | News::Much))).await;
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
    looks_until(&here, seen, |news| matches!(news, Ok(News::Told { .. } | News::Much))).await;
    let roles = [&guarded.replica, &guarded.spare].map(|server| cli(server.port, &["role"]));
    assert!(roles.iter().any(|role| role.starts_with("master")), "{roles:?}");
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
    let (careful, told) = (bench(of.clone()), bench(RedisSettings { replicas: Replicas::AtLeast(0), ..of }));
    told.store.put_link(told.link(1), None).await.unwrap();
    let refused = careful.store.redeem([1; 32], careful.redeemer(1)).await;
    assert!(matches!(&refused, Err(StoreError::Away(why)) if why.contains("replica")), "{refused:?}");
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
    assert!(!server.has_replicas());
    redis.raise_generation("wiki", &alice()).await.unwrap();
    assert!(server.has_replicas());
}

#[tokio::test]
async fn a_node_that_hears_nobody_of_its_cluster_is_not_taken_for_news() {
    let mut cluster = Cluster::start();
    let here = bench(RedisSettings { timeout: Duration::from_secs(2), ..settings(&cluster.url()) });
    let seen = here.store.snapshot().await.unwrap().version;
    assert_eq!(here.store.news(seen).await.unwrap(), News::None);
    let alone = cluster.master_of("linkgate:{standing}:version").port;
    let others = |cluster: &mut Cluster, signal: &str| {
        cluster.nodes.iter_mut().filter(|node| node.port != alone).for_each(|node| node.signal(signal));
    };
    others(&mut cluster, "STOP");
    let says_so = |news: &Result<News, StoreError>| matches!(news, Err(StoreError::Away(why)) if why.contains("CLUSTERDOWN") || why.contains("does not answer"));
    looks_until(&here, seen, says_so).await;
    assert!(cli(alone, &["get", "linkgate:{standing}:version"]).contains("CLUSTERDOWN"));
    let news = here.store.news(seen).await;
    assert!(says_so(&news), "{news:?}");
    others(&mut cluster, "CONT");
    looks_until(&here, seen, |news| matches!(news, Ok(News::None | News::Much))).await;
}

/// What the store says when it is asked for its version, and after how long.
async fn said(of: RedisSettings) -> (String, Duration) {
    let (began, bench) = (Instant::now(), bench(of));
    let said = bench.store.version().await.unwrap_err().to_string();
    let surely = bench.store.raise_generation("wiki", &alice()).await.unwrap_err().to_string();
    assert_eq!(surely.contains("password"), said.contains("password"), "{said} {surely}");
    (said, began.elapsed())
}

#[tokio::test]
async fn when_time_is_up_it_is_said_who_answered_what_last() {
    let port = super::harness::free_port();
    for kind in ["cluster://127.0.0.1:PORT", "sentinel://127.0.0.1:PORT/main"] {
        let url = format!("redis+{}", kind.replace("PORT", &port.to_string()));
        let of = RedisSettings { timeout: Duration::from_millis(400), ..settings(&url) };
        let (said, _) = said(of).await;
        assert!(said.contains("no answer within 400ms"), "{said}");
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("refused"), "{said}");
    }
    // Whoever waits for another who is asking as well.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("redis+sentinel://127.0.0.1:{port}/main");
    let many = bench(RedisSettings { timeout: Duration::from_millis(900), ..settings(&url) });
    let asked = (0..8).map(|_| {
        let store = many.store.clone();
        tokio::spawn(async move { store.version().await.unwrap_err().to_string() })
    });
    for asked in asked.collect::<Vec<_>>() {
        let said = asked.await.unwrap();
        assert!(said.contains(&format!("the sentinel at 127.0.0.1:{port} does not answer")), "{said}");
    }
    let server = Server::on_port(&[]);
    let url = format!("redis+cluster://127.0.0.1:{}", server.port);
    let (said, took) = said(settings(&url)).await;
    assert!(said.contains("write `redis://`"), "{said}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn who_is_not_let_in_behind_sentinels_and_in_a_cluster_hears_at_once_what_to_do() {
    let (guarded, cluster) = (Guarded::start(), Cluster::start());
    let servers = [&guarded.master, &guarded.replica, &guarded.spare];
    for server in cluster.nodes.iter().chain(servers) {
        for user in [&["gate", "on", ">right", "~*", "+@all"][..], &["poor", "on", ">right", "~*", "+ping"]] {
            assert_eq!(cli(server.port, &[&["acl", "setuser"], user].concat()).trim(), "OK");
        }
    }
    for url in [guarded.url(), cluster.url()] {
        let of = |user: &str, password: &str| RedisSettings {
            user: user.to_owned(),
            password: Some(Secret::new(password.to_owned())),
            ..settings(&url)
        };
        bench(of("gate", "right")).store.version().await.unwrap();
        for (user, password, cure) in
            [("gate", "mistaken", "check `user` and `password_file`"), ("poor", "right", "see the ACL line")]
        {
            let (said, took) = said(of(user, password)).await;
            assert!(said.contains(cure) && !said.contains(password), "{said}");
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

#[tokio::test]
async fn who_is_sent_on_by_a_node_that_does_not_know_its_own_address_arrives() {
    let mut cluster = Cluster::start();
    for node in &cluster.nodes {
        let unknown = ["config", "set", "cluster-preferred-endpoint-type", "unknown-endpoint"];
        assert_eq!(cli(node.port, &unknown).trim(), "OK");
    }
    let bench = bench(RedisSettings { timeout: Duration::from_secs(5), ..settings(&cluster.url()) });
    let version = bench.store.snapshot().await.unwrap().version;
    let key = "linkgate:{standing}:version";
    let before = cluster.master_of(key).port;
    let mut ports = cluster.nodes.iter().map(|node| node.port);
    let after = ports.find(|port| *port != before && cli(*port, &["role"]).starts_with("master")).unwrap();
    cluster.move_slot(key, after);
    assert_eq!(bench.store.version().await.unwrap(), version);
    let stats = cli(before, &["info", "errorstats"]);
    assert!(stats.contains("_MOVED"), "{stats}");
}
