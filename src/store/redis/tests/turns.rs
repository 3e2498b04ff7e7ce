//! What one instance does for all.

use tokio::task::JoinSet;

use super::harness::{Server, cli, settings};
use crate::store::contract::Bench;
use crate::store::{LinkFilter, Settings};

const TURN: &str = "linkgate:{standing}:swept";

fn bench() -> (u16, Bench) {
    let server = Server::on_port(&[]);
    let port = server.port;
    (port, Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server))
}

#[tokio::test]
async fn of_four_instances_one_sweeps_each_hour_and_another_where_it_is_gone() {
    let (port, bench) = bench();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.days(8);
    for hour in 0..2 {
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let store = bench.another();
            tasks.spawn(async move { store.sweep_in_turn().await.unwrap() });
        }
        let swept: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(swept.len(), 1, "hour {hour}");
        assert_eq!(swept[0].links, u64::from(hour == 0));
        assert!(bench.store.sweep_in_turn().await.unwrap().is_none(), "this hour it is done");
        let left: i64 = cli(port, &["pttl", TURN]).trim().parse().unwrap();
        assert!((50 * 60_000..60 * 60_000).contains(&left), "{left}");
        // What the server does in the end.
        cli(port, &["del", TURN]);
    }
    // Whoever asks for it by hand has it at once.
    bench.store.put_link(bench.link(2), None).await.unwrap();
    bench.days(8);
    bench.store.sweep_in_turn().await.unwrap().unwrap();
    bench.store.put_link(bench.link(3), None).await.unwrap();
    bench.days(8);
    assert!(bench.store.sweep_in_turn().await.unwrap().is_none());
    assert_eq!(bench.store.sweep().await.unwrap().links, 1);
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_has_no_turn_says_all_the_same_that_this_redis_is_in_use() {
    let (port, bench) = bench();
    bench.store.sweep_in_turn().await.unwrap().unwrap();
    cli(port, &["SET", "linkgate:{standing}:import", "half"]);
    assert!(bench.another().sweep_in_turn().await.unwrap().is_none());
    assert_eq!(
        cli(port, &["EXISTS", "linkgate:{standing}:import"]).trim(),
        "0",
        "no import removes anything here"
    );
}
