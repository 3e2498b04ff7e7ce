//! How often one may.

use std::time::Duration;

use super::Bench;
use crate::store::Quota;

const FIVE: Quota = Quota { count: 5, per: Duration::from_mins(15) };

async fn spend(bench: &Bench, bucket: &str) -> bool {
    bench.store.spend(bucket, FIVE).await.unwrap()
}

pub(in crate::store) async fn five_go_at_once_and_then_one_in_each_fifth_of_the_time(bench: Bench) {
    for _ in 0..5 {
        assert!(spend(&bench, "a").await);
    }
    assert!(!spend(&bench, "a").await);
    assert!(spend(&bench, "b").await);
    bench.clock.advance(Duration::from_secs(179));
    assert!(!spend(&bench, "a").await);
    bench.clock.advance(Duration::from_secs(1));
    assert!(spend(&bench, "a").await);
    assert!(!spend(&bench, "a").await);
    bench.minutes(15);
    for _ in 0..5 {
        assert!(spend(&bench, "a").await);
    }
    assert!(!spend(&bench, "a").await);
}

pub(in crate::store) async fn a_quota_of_none_lets_nobody_and_a_span_of_zero_everybody(bench: Bench) {
    let none = Quota { count: 0, per: Duration::from_secs(1) };
    assert!(!bench.store.spend("a", none).await.unwrap());
    let always = Quota { count: 1, per: Duration::ZERO };
    for _ in 0..10 {
        assert!(bench.store.spend("a", always).await.unwrap());
    }
}
