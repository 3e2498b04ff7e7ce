//! Out of the file, while others write to it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::Bench;
use crate::store::transfer::Moved;
use crate::store::{LinkFilter, NewLink, Which};

#[tokio::test]
async fn a_slow_reader_gets_one_moment_and_keeps_nobody_waiting() {
    let bench = Bench::new();
    for number in 0..200 {
        bench.store.put_link(NewLink { id: format!("{number}"), ..bench.link(number) }, None).await.unwrap();
    }
    let (sender, mut receiver) = mpsc::channel(1);
    let store = bench.store.clone();
    let export = tokio::spawn(async move { store.export(sender).await });
    let first = receiver.recv().await.unwrap();
    assert!(matches!(first.first(), Some(Moved::Epoch(_))));
    bench.store.put_link(bench.link(250), None).await.unwrap();
    bench.store.revoke_links(Which::All(None)).await.unwrap();
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 201);
    let mut links = Vec::new();
    while let Some(records) = receiver.recv().await {
        links.extend(records);
    }
    export.await.unwrap().unwrap();
    let live = |record: &&Moved| matches!(record, Moved::Link(link) if link.revoked_at.is_none());
    assert_eq!(links.iter().filter(live).count(), 200);
    // Who goes away ends it.
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let gone = tokio::time::timeout(Duration::from_secs(20), bench.store.export(sender)).await.unwrap();
    assert!(gone.is_err());
}
