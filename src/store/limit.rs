//! Rate limits: the generic cell rate algorithm (ITU-T I.371, Annex A), in memory. Never grows past its bound, gives
//! memory back, and follows a clock that is moved.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Quota;
use crate::clock::Timestamp;

/// Buckets kept at most: 100,000 of 16 bytes.
const MOST: usize = 100_000;

/// Buckets by a keyed hash of their names: nobody can aim at another's.
#[derive(Debug, Default)]
pub(super) struct Limits {
    hasher: RandomState,
    /// When each bucket will be full again, nanoseconds since the Unix epoch.
    full_at: Mutex<HashMap<u64, i64>>,
}

impl Limits {
    /// Takes one from `bucket`, if there is one.
    pub(super) fn spend(&self, bucket: &str, quota: Quota, now: Timestamp) -> bool {
        if quota.count == 0 {
            return false;
        }
        let per = nanos(quota.per);
        let step = per / i64::from(quota.count);
        let now = now.millis().saturating_mul(1_000_000);
        let key = self.hasher.hash_one(bucket);
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not shut a bucket for longer than it ever could be shut.
        let full_at = buckets.get(&key).map_or(now, |at| (*at).clamp(now, now.saturating_add(per)));
        let next = full_at.saturating_add(step);
        if next > now.saturating_add(per) {
            buckets.insert(key, full_at);
            return false;
        }
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            make_room(&mut buckets, now);
        }
        buckets.insert(key, next);
        true
    }

    /// Forgets full buckets and gives their memory back.
    pub(super) fn shrink(&self, now: Timestamp) {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        forget_full(&mut buckets, now.millis().saturating_mul(1_000_000));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.full_at.lock().unwrap().len()
    }
}

fn forget_full(buckets: &mut HashMap<u64, i64>, now: i64) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.capacity() > 4 * buckets.len().max(256) {
        buckets.shrink_to_fit();
    }
}

/// Where even that does not help, the quarter that is nearest to being full goes: a flood of new names never
/// refuses a new name, and never frees the buckets that were spent most.
fn make_room(buckets: &mut HashMap<u64, i64>, now: i64) {
    forget_full(buckets, now);
    if buckets.len() < MOST {
        return;
    }
    let mut ends: Vec<i64> = buckets.values().copied().collect();
    let quarter = ends.len() / 4;
    let (_, cut, _) = ends.select_nth_unstable(quarter);
    let cut = *cut;
    let mut room = quarter;
    buckets.retain(|_, full_at| {
        let goes = *full_at <= cut && room > 0;
        room -= usize::from(goes);
        !goes
    });
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const FIVE: Quota = Quota { count: 5, per: Duration::from_mins(15) };

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_seconds(1_700_000_000))
    }

    #[test]
    fn five_go_at_once_and_then_one_in_each_fifth_of_the_time() {
        let (limits, clock) = (Limits::default(), clock());
        for _ in 0..5 {
            assert!(limits.spend("a", FIVE, clock.now()));
        }
        assert!(!limits.spend("a", FIVE, clock.now()));
        assert!(limits.spend("b", FIVE, clock.now()));
        clock.advance(Duration::from_secs(179));
        assert!(!limits.spend("a", FIVE, clock.now()));
        clock.advance(Duration::from_secs(1));
        assert!(limits.spend("a", FIVE, clock.now()));
        assert!(!limits.spend("a", FIVE, clock.now()));
    }

    #[test]
    fn a_quota_of_none_lets_nobody_and_a_span_of_zero_everybody() {
        let limits = Limits::default();
        let now = clock().now();
        assert!(!limits.spend("a", Quota { count: 0, per: Duration::from_secs(1) }, now));
        let always = Quota { count: 1, per: Duration::ZERO };
        assert!((0..10).all(|_| limits.spend("a", always, now)));
    }

    #[test]
    fn a_clock_set_back_shuts_nobody_out_for_longer_than_the_quota() {
        let limits = Limits::default();
        let late = Timestamp::from_seconds(2_000_000_000);
        while limits.spend("a", FIVE, late) {}
        let early = Timestamp::from_seconds(1_000_000_000);
        assert!(!limits.spend("a", FIVE, early));
        assert!(limits.spend("a", FIVE, early + Duration::from_mins(15)));
    }

    #[test]
    fn the_map_is_bounded_keeps_the_most_spent_and_shrinks() {
        let (limits, clock) = (Limits::default(), clock());
        while limits.spend("victim", FIVE, clock.now()) {}
        for name in 0..(MOST + 10) {
            assert!(limits.spend(&name.to_string(), FIVE, clock.now()));
        }
        assert!(limits.len() <= MOST);
        assert!(!limits.spend("victim", FIVE, clock.now()));
        clock.advance(Duration::from_secs(901));
        limits.shrink(clock.now());
        assert_eq!(limits.len(), 0);
        assert!(limits.full_at.lock().unwrap().capacity() < 10_000);
    }
}
