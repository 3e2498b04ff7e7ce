//! The contract's cases where certificates are shown at every door, or sentinels ask for a password.

use std::time::Duration;

use super::certificates::Certificates;
use super::harness::{Cluster, Entrance, Guarded, PASSWORD, Server, cli, settings, wait_for};
use super::kinds::{bench, every_case_on, soon};
use crate::secret::Secret;
use crate::store::contract::Bench;
use crate::store::{NewLink, Redeemed, RedisSettings, StoreError};

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_keeps_the_contract_and_no_other_authority_is_believed() {
    let certificates = Certificates::of("DNS:localhost");
    let port = super::harness::free_port();
    let shown = certificates.shown_at(port);
    let arguments: Vec<String> =
        shown.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect();
    let server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(server.folder().exists());
    let url = format!("rediss://localhost:{port}");
    let of = |ca: &str| RedisSettings { ca: Some(certificates.file(ca)), ..settings(&url) };
    every_case_on(of("ca.pem")).await;
    for stranger in [of("other.pem"), RedisSettings { ca: None, ..of("ca.pem") }] {
        let refused = bench(stranger).store.version().await.unwrap_err();
        assert!(matches!(refused, StoreError::Away(_)), "{refused}");
    }
    // A name that the certificate does not have.
    let elsewhere = RedisSettings { url: format!("rediss://127.0.0.1:{port}"), ..of("ca.pem") };
    assert!(bench(elsewhere).store.version().await.is_err());
}

#[tokio::test]
async fn sentinels_and_servers_with_certificates_keep_the_contract_through_a_fail_over() {
    let certificates = Certificates::of("IP:127.0.0.1");
    let mut guarded = Guarded::behind(Entrance { certificates: Some(&certificates), ..Entrance::default() });
    let url = guarded.url();
    assert!(url.starts_with("rediss+sentinel://"));
    let of = |ca: &str| RedisSettings { ca: Some(certificates.file(ca)), ..settings(&url) };
    every_case_on(of("ca.pem")).await;
    let stranger = RedisSettings { timeout: Duration::from_secs(1), ..of("other.pem") };
    let refused = bench(stranger).store.version().await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let bench = bench(of("ca.pem"));
    goes_on_after_its_end(&bench, &mut guarded).await;
}

#[tokio::test]
async fn sentinels_that_ask_for_the_password_of_redis_keep_the_contract_through_a_fail_over() {
    let mut guarded = Guarded::behind(Entrance { password: true, ..Entrance::default() });
    let url = guarded.url();
    let with = |password: &str| {
        let password = Some(Secret::new(password.to_owned()));
        RedisSettings { password, ..settings(&url) }
    };
    every_case_on(with(PASSWORD)).await;
    for stranger in [with("mistaken"), settings(&url)] {
        let refused = bench(stranger).store.version().await.unwrap_err().to_string();
        assert!(refused.contains("sentinel") && refused.contains("password_file"), "{refused}");
    }
    let bench = bench(with(PASSWORD));
    goes_on_after_its_end(&bench, &mut guarded).await;
}

/// What was redeemed at a master that is killed stays so, and the next link is redeemed at another.
async fn goes_on_after_its_end(bench: &Bench, guarded: &mut Guarded) {
    bench.signed_in(1).await;
    bench.store.put_link(NewLink { expires_at: None, ..bench.link(2) }, None).await.unwrap();
    let (master, replica) = (guarded.master.port, guarded.replica.port);
    wait_for("the replica to have it", || cli(master, &["dbsize"]) == cli(replica, &["dbsize"]));
    guarded.master.signal("KILL");
    let by = [bench.redeemer(2), bench.redeemer(3)];
    let again = soon(async || bench.store.redeem([1; 32], by[0].clone()).await).await;
    assert!(matches!(again, Redeemed::Used(_)), "{again:?}");
    let redeemed = soon(async || bench.store.redeem([2; 32], by[1].clone()).await).await;
    assert!(matches!(redeemed, Redeemed::Redeemed(_)), "{redeemed:?}");
    assert!(cli(replica, &["role"]).starts_with("master"));
}

#[tokio::test]
async fn a_cluster_with_certificates_keeps_the_contract_and_sends_to_doors_with_certificates() {
    let certificates = Certificates::of("IP:127.0.0.1");
    let mut cluster = Cluster::behind(Entrance { certificates: Some(&certificates), ..Entrance::default() });
    let url = cluster.url();
    assert!(url.starts_with("rediss+cluster://"));
    let of = |ca: &str| RedisSettings { ca: Some(certificates.file(ca)), ..settings(&url) };
    every_case_on(of("ca.pem")).await;
    let stranger = RedisSettings { timeout: Duration::from_secs(1), ..of("other.pem") };
    let refused = bench(stranger).store.version().await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    // Its replica takes over; who asks the old one is sent on.
    let bench = bench(of("ca.pem"));
    let version = bench.store.snapshot().await.unwrap().version;
    let before = cluster.master_of("linkgate:{standing}:version").port;
    let id = cli(before, &["cluster", "myid"]).trim().to_owned();
    let follows = |port: u16| {
        let known = cli(port, &["cluster", "nodes"]);
        known.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
    };
    let after = cluster.nodes.iter().map(|node| node.port).find(|port| follows(*port)).unwrap();
    assert_eq!(cli(after, &["cluster", "failover"]).trim(), "OK");
    wait_for("the replica to take over", || cli(before, &["role"]).starts_with("slave"));
    assert_eq!(soon(async || bench.store.version().await).await, version);
    assert!(cli(before, &["info", "errorstats"]).contains("_MOVED"));
}
