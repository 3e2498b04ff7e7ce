//! Moving into Redis, where an earlier attempt was killed.

use tokio::sync::mpsc;

use super::harness::{Server, cli, settings};
use crate::store::contract::Bench;
use crate::store::transfer::{Delivery, Moved, MovedEpoch};
use crate::store::{LinkFilter, SessionFilter, Settings};

#[tokio::test]
async fn what_a_killed_import_left_counts_nowhere_and_is_removed_by_the_next_one() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    // As far as it came: records, and what was laid ready, under the note that an import is under way.
    bench.signed_in(1).await;
    bench.store.put_link(bench.link(2), None).await.unwrap();
    let people = "linkgate:{standing}:import.people";
    assert_eq!(cli(port, &["SET", "linkgate:{standing}:import", "half"]).trim(), "OK");
    assert_eq!(cli(port, &["HSET", people, "x", "y"]).trim(), "1");
    assert!(bench.store.snapshot().await.unwrap().people.is_empty(), "what is laid ready counts nowhere");

    let created_at = bench.clock.now();
    let epoch = MovedEpoch { id: "0a0b0c0d".to_owned(), created_at, accepted_until: None };
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Records(vec![Moved::Epoch(epoch)])).await.unwrap();
    sender.send(Delivery::Complete).await.unwrap();
    bench.store.import(receiver).await.unwrap();
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty());
    assert!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().is_empty());
    let snapshot = bench.store.snapshot().await.unwrap();
    assert_eq!(snapshot.epochs.first().map(|epoch| epoch.id.as_str()), Some("0a0b0c0d"));
    assert_eq!(snapshot.epochs.len(), 1);
    assert_eq!(cli(port, &["EXISTS", people]).trim(), "0");
    // Without such a note nothing is ever removed: what is there hinders.
    bench.store.put_link(bench.link(3), None).await.unwrap();
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Complete).await.unwrap();
    let refused = bench.store.import(receiver).await.unwrap_err();
    assert!(refused.to_string().contains("not empty (1 links"), "{refused}");
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_in_use_is_removed_by_no_import_whatever_an_earlier_one_left() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    let links = async || bench.store.list_links(LinkFilter::default()).await.unwrap().len();
    // A note that an import was broken off; then a gateway runs, which sweeps.
    cli(port, &["SET", "linkgate:{standing}:import", "half"]);
    bench.store.sweep().await.unwrap();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Complete).await.unwrap();
    let refused = bench.store.import(receiver).await.unwrap_err();
    assert!(refused.to_string().contains("not empty (1 links"), "{refused}");
    assert_eq!(links().await, 1);
}

#[tokio::test]
async fn an_import_that_fails_removes_nothing_of_another_that_came_after_it() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    let (sender, receiver) = mpsc::channel(1);
    let slow = tokio::spawn({
        let store = bench.store.clone();
        async move { store.import(receiver).await }
    });
    // Both are taken once the import is under way: the channel holds one.
    for _ in 0..2 {
        sender.send(Delivery::Records(Vec::new())).await.unwrap();
    }
    cli(port, &["SET", "linkgate:{standing}:import", "done another"]);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    drop(sender);
    slow.await.unwrap().unwrap_err();
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 1);
}
