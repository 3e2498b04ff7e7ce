//! Ends of HTTP/2 answers that wait with us after their task has ended: their stream's window stays shut, and nobody but
//! the connection could still give them up. Counted in laps, so that an answer costs two additions and no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::stamps::Order;
use super::stamps::Stamps;
use super::stamps::passed;

/// Laps that a slow line gets for what it had not taken within one: then it is the line that waits, not its windows.
const SLOW_LAPS: u8 = 10;

/// How many answers' ends wait, by the lap in which they came. A lap is as long as an answer may stand still.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Since when the lap runs.
    since: AtomicU64,
    lap: AtomicU32,
    /// Of this lap.
    young: AtomicU32,
    /// Of an earlier one, all of the same.
    old: AtomicU32,
    /// How many laps the old ones were let off.
    let_off: AtomicU8,
}

impl Leftovers {
    pub fn is_empty(&self) -> bool {
        self.young.load(Relaxed) == 0 && self.old.load(Relaxed) == 0
    }

    /// One more, until the value is dropped.
    pub fn enter(stamps: &Arc<Stamps>) -> Leftover {
        let this = stamps.leftovers();
        if this.is_empty() {
            this.since.store(stamps.now(), Relaxed);
        }
        this.young.fetch_add(1, Relaxed);
        Leftover { stamps: Arc::clone(stamps), lap: this.lap.load(Relaxed) }
    }

    /// What the connection should be told; `line_is_full` says that written bytes wait for the socket.
    pub fn verdict(&self, now: u64, limit: Duration, line_is_full: bool) -> Option<Order> {
        if self.is_empty() || !passed(self.since.load(Relaxed), now, limit) {
            return None;
        }
        self.since.store(now, Relaxed);
        if self.old.load(Relaxed) == 0 {
            self.old.store(self.young.swap(0, Relaxed), Relaxed);
            self.lap.fetch_add(1, Relaxed);
            self.let_off.store(0, Relaxed);
            return None;
        }
        if !line_is_full {
            return Some(Order::Cut);
        }
        (self.let_off.fetch_add(1, Relaxed) >= SLOW_LAPS).then_some(Order::Abort)
    }
}

/// The end of an answer that waits.
#[derive(Debug)]
pub(super) struct Leftover {
    stamps: Arc<Stamps>,
    lap: u32,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let all = self.stamps.leftovers();
        let of_this_lap = all.lap.load(Relaxed) == self.lap;
        (if of_this_lap { &all.young } else { &all.old }).fetch_sub(1, Relaxed);
        self.stamps.was_used();
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamps::Tick;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    struct Connection {
        tick: Tick,
        stamps: Arc<Stamps>,
    }

    impl Connection {
        fn new() -> Self {
            let tick = Tick::new();
            Self { stamps: Stamps::new(&tick), tick }
        }

        fn at(&self, second: u64, line_is_full: bool) -> Option<Order> {
            let now = second * 1000 + 1;
            self.tick.set(now);
            self.stamps.leftovers().verdict(now, LIMIT, line_is_full)
        }
    }

    #[test]
    fn what_waits_for_a_lap_that_is_not_its_first_ends_the_connection_and_what_comes_and_goes_does_not() {
        let connection = Connection::new();
        let stamps = &connection.stamps;
        for second in 1..200 {
            let _taken = Leftovers::enter(stamps);
            assert_eq!(connection.at(second, false), None);
        }
        assert!(stamps.leftovers().is_empty() && !stamps.is_busy());
        let _first = Leftovers::enter(stamps);
        assert!(stamps.is_busy());
        assert_eq!(connection.at(230, false), None);
        let _others: Vec<_> = (231..260).map(|_| Leftovers::enter(stamps)).collect();
        assert_eq!(connection.at(259, false), None);
        assert_eq!(connection.at(261, false), Some(Order::Cut));
    }

    #[test]
    fn each_is_counted_where_it_stands_and_the_old_ones_going_frees_the_young() {
        let connection = Connection::new();
        let stamps = &connection.stamps;
        let old = Leftovers::enter(stamps);
        assert_eq!(connection.at(31, false), None);
        let young = Leftovers::enter(stamps);
        drop(old);
        assert_eq!(connection.at(62, false), None, "the young one has had no lap");
        drop(young);
        assert!(stamps.leftovers().is_empty());
    }

    #[test]
    fn a_slow_line_gets_more_time_and_not_for_ever() {
        let connection = Connection::new();
        let stamps = &connection.stamps;
        let _end = Leftovers::enter(stamps);
        for lap in 1..=11 {
            assert_eq!(connection.at(31 * lap, true), None);
        }
        assert_eq!(connection.at(31 * 12, true), Some(Order::Abort));
    }
}
