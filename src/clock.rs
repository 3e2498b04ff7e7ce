//! The only reader of wall time. Never sleeps, never formats for people; tests move it by hand.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in wall time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch; saturates.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down (the unit of JWT dates).
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long from `earlier` until `self`; zero if `self` is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates: a lifetime of "years" never wraps into the past.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Where "now" comes from: the system, or a hand that tests move. Cheap to clone; clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hand) => Timestamp(hand.load(Ordering::SeqCst)),
            None => system_now(),
        }
    }

    /// Where a hand moves this clock: its moment. `None`: it is the machine's own. For who judges by yet another clock
    /// (a server's), which must follow the hand but not the machine.
    #[must_use]
    pub fn hand(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|hand| Timestamp(hand.load(Ordering::SeqCst)))
    }

    /// Moves a manual clock forward by `span`. The system's clock is not ours to move: nothing happens.
    pub fn advance(&self, span: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads wall time")]
fn system_now() -> Timestamp {
    // A clock before 1970 is a broken machine; zero makes every token "not yet valid", which denies.
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::default() + elapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved() {
        let clock = Clock::manual(Timestamp::from_seconds(1_000));
        let twin = clock.clone();
        assert_eq!(clock.now(), clock.now());
        twin.advance(Duration::from_secs(5));
        assert_eq!(clock.now().since(Timestamp::from_seconds(1_000)), Duration::from_secs(5));
    }

    #[test]
    fn adding_forever_saturates_instead_of_wrapping() {
        let end = Timestamp::from_seconds(1_000) + Duration::MAX;
        assert!(end > Timestamp::from_seconds(i64::MAX / 2_000));
    }
}
