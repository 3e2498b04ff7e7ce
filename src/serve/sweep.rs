//! One sweep a second per worker ends connections that are too slow, too idle or too old.
//! Works from stamps that cost a relaxed store each; never sets a timer for a request.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::limits::Limits;
use super::limits::Shared;
use super::limits::count;

const PERIOD: Duration = Duration::from_secs(1);

/// Milliseconds since the worker started, as of its last sweep; never zero, so that zero can mean "not".
#[derive(Clone, Debug)]
pub(super) struct Tick(Arc<AtomicU64>);

impl Tick {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the sweep knows of one connection. Written by one thread only; atomic because sockets must be `Send`.
#[derive(Debug)]
pub(super) struct Stamps {
    tick: Tick,
    opened: u64,
    /// Since when a TLS handshake or a request's head is awaited; zero: none is.
    head: AtomicU64,
    /// When the last request ended or the last byte of an answer left.
    idle: AtomicU64,
    /// Since when the visitor takes no bytes of an answer; zero: it does.
    write_stuck: AtomicU64,
    /// Since when a body of announced length stands still; zero: it does not.
    body_stuck: AtomicU64,
    /// Since when the connection is to end; zero: it is not.
    ending: AtomicU64,
    running: AtomicU32,
    order: AtomicU8,
    ordered: Notify,
}

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish what runs, take nothing new.
    Finish,
    /// End now.
    Cut,
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
            running: AtomicU32::new(0),
            order: AtomicU8::new(0),
            ordered: Notify::new(),
        })
    }

    /// A head is awaited from now on, unless one already is.
    pub fn head_begins(&self) {
        begin(&self.head, self.tick.now());
    }

    pub fn head_ends(&self) {
        self.head.store(0, Relaxed);
        self.idle.store(self.tick.now(), Relaxed);
    }

    /// The handshake is done; the first request gets the whole time.
    pub fn head_begins_anew(&self) {
        self.head.store(self.tick.now(), Relaxed);
    }

    pub fn is_busy(&self) -> bool {
        self.running.load(Relaxed) > 0
    }

    pub fn wrote(&self) {
        self.write_stuck.store(0, Relaxed);
        self.idle.store(self.tick.now(), Relaxed);
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

    /// Marks a request as running until the value is dropped.
    pub fn run(self: &Arc<Self>) -> InFlight {
        self.running.fetch_add(1, Relaxed);
        self.head_ends();
        InFlight(Arc::clone(self))
    }

    fn give(&self, order: Order) {
        begin(&self.ending, self.tick.now());
        self.order.fetch_max(if order == Order::Cut { 2 } else { 1 }, Relaxed);
        self.ordered.notify_one();
    }

    /// Waits for the next order.
    pub async fn order(&self) -> Order {
        loop {
            self.ordered.notified().await;
            match self.order.load(Relaxed) {
                0 => {}
                1 => return Order::Finish,
                _ => return Order::Cut,
            }
        }
    }

    fn verdict(&self, now: u64, limits: &Limits, draining: bool) -> Option<Order> {
        let over = |stamp: &AtomicU64, limit: Duration| passed(stamp.load(Relaxed), now, limit);
        if (!self.is_busy() && over(&self.head, limits.header_timeout))
            || over(&self.write_stuck, limits.body_timeout)
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
        (self.ending.load(Relaxed) == 0 && (old || draining)).then_some(Order::Finish)
    }
}

fn begin(stamp: &AtomicU64, now: u64) {
    if stamp.load(Relaxed) == 0 {
        stamp.store(now, Relaxed);
    }
}

fn passed(since: u64, now: u64, limit: Duration) -> bool {
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

/// One worker's connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Register(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: Cell<u64>,
    open: RefCell<HashMap<u64, Arc<Stamps>>>,
}

/// A place in the register; given back when dropped.
#[derive(Debug)]
pub(super) struct Entry {
    register: Register,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.register.0.open.borrow_mut().remove(&self.number);
    }
}

impl Register {
    pub fn enter(&self, stamps: Arc<Stamps>) -> Entry {
        let number = self.0.next.get();
        self.0.next.set(number.wrapping_add(1));
        self.0.open.borrow_mut().insert(number, stamps);
        Entry { register: self.clone(), number }
    }

    /// Asks every connection to finish.
    pub fn finish_all(&self) {
        for stamps in self.0.open.borrow().values() {
            stamps.give(Order::Finish);
        }
    }

    fn sweep(&self, now: u64, shared: &Shared) {
        let draining = shared.is_draining();
        for stamps in self.0.open.borrow().values() {
            if let Some(order) = stamps.verdict(now, &shared.limits, draining) {
                if order == Order::Cut && !draining {
                    count(&shared.counters.timed_out);
                }
                stamps.give(order);
            }
        }
    }
}

/// Sweeps until the worker's runtime ends.
pub(super) async fn run(register: Register, tick: Tick, shared: Arc<Shared>) {
    let start = Instant::now();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let now = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        tick.0.store(now, Relaxed);
        register.sweep(now, &shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64, stamps: &Arc<Stamps>) -> Option<Order> {
        stamps.tick.0.store(now, Relaxed);
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
        assert_eq!(at(105_003, &stamps), Some(Order::Cut));
    }
}
