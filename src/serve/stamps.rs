//! What is known of one connection's pace, in stamps that cost a relaxed store each, and what it is told to do.
//! Judges by these alone; never sets a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::leftovers::Leftovers;
use super::limits::Limits;

/// How often stamps are looked at.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// After this time without a request a connection gives back what it needs for requests.
const PARK_AFTER: Duration = Duration::from_secs(2);

/// Milliseconds since the worker started, as of its last sweep; never zero, so that zero can mean "not".
#[derive(Clone, Debug)]
pub(super) struct Tick(Arc<AtomicU64>);

impl Tick {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn set(&self, now: u64) {
        self.0.store(now, Relaxed);
    }
}

/// What the sweep knows of one connection. Written by one thread only; atomic because sockets must be `Send`.
#[derive(Debug)]
pub(super) struct Stamps {
    tick: Tick,
    opened: u64,
    /// Since when a TLS handshake or a request's head is awaited; zero: none is.
    head: AtomicU64,
    /// When the last request ended, or the last bytes of an answer that had to wait left.
    idle: AtomicU64,
    /// Since when the visitor takes no bytes of an answer; zero: it does.
    write_stuck: AtomicU64,
    /// Since when a body of announced length stands still; zero: it does not.
    body_stuck: AtomicU64,
    /// Since when the connection is to end; zero: it is not.
    ending: AtomicU64,
    /// Number, from one, of the first request that the sniffer found bad; zero: none.
    first_bad: AtomicU64,
    running: AtomicU32,
    order: AtomicU8,
    /// Whether HTTP/1 stands between two requests: all that came was a whole request, and more was asked for in vain.
    rests: AtomicBool,
    /// Whether there was a request at all.
    used: AtomicBool,
    /// Whether the connection speaks something else than HTTP by now.
    switched: AtomicBool,
    /// What of HTTP/2 answers waits for the visitor when all else of them is done.
    leftovers: Leftovers,
}

/// What a connection is told, the later the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Nothing,
    /// Give back what only requests need.
    Park,
    /// Finish what runs, take nothing new.
    Finish,
    /// End now.
    Cut,
    /// End now, and let nothing more reach the visitor, not even what was written.
    Abort,
}

impl Stamps {
    pub fn new(tick: &Tick) -> Arc<Self> {
        let now = tick.now();
        Arc::new(Self {
            tick: tick.clone(),
            opened: now,
            head: AtomicU64::new(now),
            idle: AtomicU64::new(now),
            write_stuck: AtomicU64::new(0),
            body_stuck: AtomicU64::new(0),
            ending: AtomicU64::new(0),
            first_bad: AtomicU64::new(0),
            running: AtomicU32::new(0),
            order: AtomicU8::new(Order::Nothing as u8),
            rests: AtomicBool::new(false),
            used: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            leftovers: Leftovers::default(),
        })
    }

    /// A head is awaited from now on, unless one already is.
    pub fn head_begins(&self) {
        begin(&self.head, self.tick.now());
    }

    pub fn head_ends(&self) {
        self.head.store(0, Relaxed);
        self.was_used();
    }

    /// The handshake is done; the first request gets the whole time.
    pub fn head_begins_anew(&self) {
        self.head.store(self.tick.now(), Relaxed);
    }

    pub fn is_busy(&self) -> bool {
        self.running.load(Relaxed) > 0 || !self.leftovers.is_empty()
    }

    pub const fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    pub fn now(&self) -> u64 {
        self.tick.now()
    }

    /// The connection was in use until now.
    pub fn was_used(&self) {
        self.idle.store(self.tick.now(), Relaxed);
    }

    /// Whether a request ever came.
    pub fn is_used(&self) -> bool {
        self.used.load(Relaxed)
    }

    /// Something that was written has left, or all of it: TLS takes bytes before the socket does. Only what the visitor
    /// kept waiting was in use until now; HTTP/2 writes answers to pings as well, and those are no use of a connection.
    pub fn wrote(&self) {
        if self.write_stuck.load(Relaxed) != 0 {
            self.write_stuck.store(0, Relaxed);
            self.was_used();
        }
    }

    pub fn write_waits(&self) {
        begin(&self.write_stuck, self.tick.now());
    }

    pub fn body_waits(&self) {
        begin(&self.body_stuck, self.tick.now());
    }

    pub fn body_moves(&self) {
        self.body_stuck.store(0, Relaxed);
    }

    /// Whether HTTP/1 stands between two requests with nothing read of the next.
    pub fn rests(&self, rests: bool) {
        self.rests.store(rests, Relaxed);
    }

    /// The visitor is told to go on in another protocol.
    pub fn switch(&self) {
        self.switched.store(true, Relaxed);
    }

    pub fn is_switched(&self) -> bool {
        self.switched.load(Relaxed)
    }

    /// Which request, from one, is the first that must be refused; zero: none yet.
    pub fn first_bad(&self) -> u64 {
        self.first_bad.load(Relaxed)
    }

    pub fn found_bad(&self, number: u64) {
        self.first_bad.store(number, Relaxed);
    }

    /// Marks a request as running until the value is dropped.
    pub fn run(self: &Arc<Self>) -> InFlight {
        self.running.fetch_add(1, Relaxed);
        self.used.store(true, Relaxed);
        self.head_ends();
        InFlight(Arc::clone(self))
    }

    /// Tells the connection, once it looks; the caller wakes it.
    pub fn give(&self, order: Order) {
        if order >= Order::Finish {
            begin(&self.ending, self.tick.now());
        }
        self.order.fetch_max(order as u8, Relaxed);
    }

    /// The strongest order so far.
    pub fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Nothing,
            1 => Order::Park,
            2 => Order::Finish,
            3 => Order::Cut,
            _ => Order::Abort,
        }
    }

    /// Takes an order to park as done, or as refused.
    pub fn parked(&self) {
        self.rests(false);
        if self.order() == Order::Park {
            self.order.store(Order::Nothing as u8, Relaxed);
        }
    }

    /// Whether nothing of this connection would be lost if HTTP began anew on it.
    pub fn may_park(&self) -> bool {
        let is_zero = |stamp: &AtomicU64| stamp.load(Relaxed) == 0;
        self.rests.load(Relaxed)
            && !self.is_busy()
            && [&self.head, &self.write_stuck, &self.body_stuck, &self.ending].into_iter().all(is_zero)
    }

    /// What the connection should be told now.
    pub fn verdict(&self, now: u64, limits: &Limits, draining: bool) -> Option<Order> {
        let over = |stamp: &AtomicU64, limit: Duration| passed(stamp.load(Relaxed), now, limit);
        if over(&self.write_stuck, limits.body_timeout) {
            return Some(Order::Abort);
        }
        let line_is_full = self.write_stuck.load(Relaxed) != 0;
        if let Some(order) = self.leftovers.verdict(now, limits.body_timeout, line_is_full) {
            return Some(order);
        }
        if (!self.is_busy() && over(&self.head, limits.header_timeout))
            || over(&self.body_stuck, limits.body_timeout)
        {
            return Some(Order::Cut);
        }
        if !self.is_busy() {
            // A connection that never had a request may have one on the way when a stop begins.
            let grace = if draining { PERIOD } else { limits.header_timeout };
            if over(&self.ending, grace) {
                return Some(Order::Cut);
            }
            if over(&self.idle, limits.idle_timeout) {
                return Some(Order::Finish);
            }
        }
        let old = passed(self.opened, now, limits.connection_age);
        if self.ending.load(Relaxed) == 0 && (old || draining) {
            return Some(Order::Finish);
        }
        (self.may_park() && over(&self.idle, PARK_AFTER)).then_some(Order::Park)
    }
}

fn begin(stamp: &AtomicU64, now: u64) {
    if stamp.load(Relaxed) == 0 {
        stamp.store(now, Relaxed);
    }
}

/// Whether more than `limit` has passed since `since`; zero never passes.
pub(super) fn passed(since: u64, now: u64, limit: Duration) -> bool {
    since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis()
}

/// A running request; ends when its answer's body is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Stamps>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
        let now = self.0.tick.now();
        self.0.idle.store(now, Relaxed);
        if self.0.head.load(Relaxed) != 0 {
            // The next head has begun to arrive behind this request, which held it up.
            self.0.head.store(now, Relaxed);
        }
        self.0.body_moves();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64, stamps: &Arc<Stamps>) -> Option<Order> {
        stamps.tick.set(now);
        stamps.verdict(now, &Limits::default(), false)
    }

    #[test]
    fn a_head_that_takes_longer_than_its_time_is_cut_however_often_a_byte_comes() {
        let stamps = Stamps::new(&Tick::new());
        for second in 1..=10 {
            assert_eq!(at(second * 1000, &stamps), None);
            stamps.head_begins();
        }
        assert_eq!(at(11_001, &stamps), Some(Order::Cut));
    }

    #[test]
    fn a_running_request_is_neither_idle_nor_cut_but_an_old_connection_is_asked_to_end() {
        let stamps = Stamps::new(&Tick::new());
        let running = stamps.run();
        assert_eq!(at(600_000, &stamps), None);
        assert_eq!(at(3_600_002, &stamps), Some(Order::Finish));
        stamps.give(Order::Finish);
        assert_eq!(at(4_000_000, &stamps), None, "asked once; the request may go on");
        drop(running);
        assert_eq!(at(4_100_000, &stamps), Some(Order::Cut));
    }

    #[test]
    fn an_idle_connection_ends_after_its_time_and_a_stuck_answer_after_its_own() {
        let stamps = Stamps::new(&Tick::new());
        drop(stamps.run());
        assert_eq!(at(75_000, &stamps), None);
        assert_eq!(at(75_002, &stamps), Some(Order::Finish));
        stamps.write_waits();
        assert_eq!(at(105_003, &stamps), Some(Order::Abort));
    }

    #[test]
    fn only_a_connection_at_rest_is_parked_and_every_other_order_counts_more() {
        let stamps = Stamps::new(&Tick::new());
        assert_eq!(at(3000, &stamps), None, "before its first request it has nothing to give back");
        let running = stamps.run();
        stamps.rests(true);
        assert_eq!(at(6000, &stamps), None, "a request runs");
        drop(running);
        assert_eq!(at(8000, &stamps), None, "not for long enough");
        assert_eq!(at(8001, &stamps), Some(Order::Park));
        for (begin, end) in [
            (Stamps::write_waits as fn(&Stamps), Stamps::wrote as fn(&Stamps)),
            (Stamps::body_waits, Stamps::body_moves),
            (Stamps::head_begins, Stamps::head_ends),
        ] {
            begin(&stamps);
            assert!(!stamps.may_park());
            end(&stamps);
            assert!(stamps.may_park());
        }
        stamps.give(Order::Park);
        assert_eq!(stamps.order(), Order::Park);
        stamps.parked();
        assert_eq!((stamps.order(), stamps.may_park()), (Order::Nothing, false));
        stamps.rests(true);
        stamps.give(Order::Finish);
        stamps.give(Order::Park);
        stamps.parked();
        assert_eq!((stamps.order(), stamps.may_park()), (Order::Finish, false), "an end is not taken back");
    }
}
