//! The endpoints of an upstream as one worker sees them, and the choice among them: of two taken at random the one with
//! fewer requests under way. Opens nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connect::Line;
use super::connectors::Connector;
use super::pool::Shelf;
use super::pool::Sweeper;
use super::upstream::Live;

/// One endpoint, as one worker sees it.
pub(super) struct Backend {
    pub(super) line: Arc<Line>,
    pub(super) shelf: Shelf,
    sweeper: Rc<Sweeper>,
    /// Requests and tunnels under way.
    busy: Cell<u32>,
}

impl Backend {
    /// An idle connection.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        self.shelf.take(&self.sweeper)
    }

    /// Takes a connection back.
    pub(super) fn put(self: &Rc<Self>, live: Box<Live>) {
        self.sweeper.put(self, live);
    }
}

/// Counts one request or tunnel of an endpoint for as long as it lives.
pub(super) struct Busy(Rc<Backend>);

impl Busy {
    pub(super) fn new(backend: Rc<Backend>) -> Self {
        backend.busy.set(backend.busy.get().saturating_add(1));
        Self(backend)
    }

    pub(super) const fn backend(&self) -> &Rc<Backend> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
    }
}

/// The endpoints of one upstream.
pub(super) struct Group {
    pub(super) backends: Vec<Rc<Backend>>,
    /// How long a request waits while every endpoint refuses connections.
    pub(super) wait: Duration,
}

impl Group {
    pub(super) fn new(connector: &Connector, sweeper: &Rc<Sweeper>) -> Self {
        let backend = |line: &Arc<Line>| {
            Rc::new(Backend {
                line: Arc::clone(line),
                shelf: Shelf::default(),
                sweeper: Rc::clone(sweeper),
                busy: Cell::new(0),
            })
        };
        Self { backends: connector.lines.iter().map(backend).collect(), wait: connector.upstream.wait }
    }

    /// The endpoint for the next request, of those not in `tried`.
    pub(super) fn choose(&self, tried: &[Rc<Backend>], dice: &Dice) -> Option<&Rc<Backend>> {
        if let [only] = self.backends.as_slice() {
            return tried.is_empty().then_some(only);
        }
        let left = |backend: &&Rc<Backend>| !tried.iter().any(|other| Rc::ptr_eq(other, backend));
        let (mut first, mut second) = (None, None);
        // Two of those left, each pair as likely as any other.
        for (seen, backend) in (0_u64..).zip(self.backends.iter().filter(left)) {
            match seen {
                0 => first = Some(backend),
                1 => second = Some(backend),
                _ => match dice.below(seen + 1) {
                    0 => first = Some(backend),
                    1 => second = Some(backend),
                    _ => {}
                },
            }
        }
        match (first, second) {
            (Some(one), Some(other)) => Some(match one.busy.get().cmp(&other.busy.get()) {
                std::cmp::Ordering::Less => one,
                std::cmp::Ordering::Greater => other,
                std::cmp::Ordering::Equal if dice.below(2) == 0 => one,
                std::cmp::Ordering::Equal => other,
            }),
            (first, _) => first,
        }
    }
}

/// Chance that nobody's safety hangs on: xorshift64*, one a worker.
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self(Cell::new(if seed == 0 { 1 } else { seed }))
    }

    /// A number below `end`, which is small.
    pub(super) fn below(&self, end: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).checked_rem(end).unwrap_or(0)
    }
}
