//! One sweep a second per worker ends connections that are too slow, too idle or too old, parks those at rest, and
//! ends HTTP/2 answers that nobody takes. Works from stamps; never sets a timer for a request.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::limits::Shared;
use super::limits::count;
use super::stamps::{Order, PERIOD, Stamps, Tick};
use super::takers::Takers;

/// How many sweeps after the last parking the allocator is asked to return memory.
const SETTLING: u8 = 4;

/// More than the allocator puts into a page with others.
const PAGE_BYTES: usize = 1024 * 1024;

/// One worker's connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Register(Rc<RefCell<Places>>);

#[derive(Debug, Default)]
struct Places {
    taken: Vec<Option<Place>>,
    free: Vec<usize>,
}

/// A connection's stamps, and how to make its task look at them.
#[derive(Debug)]
struct Place {
    stamps: Arc<Stamps>,
    task: Waker,
}

impl Place {
    fn give(&self, order: Order) {
        self.stamps.give(order);
        self.task.wake_by_ref();
    }
}

/// A place in the register; given back when dropped.
#[derive(Debug)]
pub(super) struct Entry {
    register: Register,
    number: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut places = self.register.0.borrow_mut();
        if let Some(place) = places.taken.get_mut(self.number) {
            *place = None;
        }
        places.free.push(self.number);
    }
}

impl Register {
    /// `task` must wake the connection's task for as long as the entry lives, as a Tokio task's own waker does.
    pub fn enter(&self, stamps: Arc<Stamps>, task: Waker) -> Entry {
        let mut places = self.0.borrow_mut();
        let place = Some(Place { stamps, task });
        let number = match places.free.pop() {
            Some(number) if number < places.taken.len() => {
                if let Some(free) = places.taken.get_mut(number) {
                    *free = place;
                }
                number
            }
            _ => {
                places.taken.push(place);
                places.taken.len() - 1
            }
        };
        Entry { register: self.clone(), number }
    }

    /// Asks every connection to finish.
    pub fn finish_all(&self) {
        for place in self.0.borrow().taken.iter().flatten() {
            place.give(Order::Finish);
        }
    }

    fn sweep(&self, now: u64, shared: &Shared) {
        let draining = shared.is_draining();
        for place in self.0.borrow().taken.iter().flatten() {
            if let Some(order) = place.stamps.verdict(now, &shared.limits, draining) {
                if order >= Order::Cut && !draining {
                    count(&shared.counters.timed_out);
                }
                place.give(order);
            }
        }
    }
}

/// Sweeps until the worker's runtime ends.
pub(super) async fn run(register: Register, takers: Rc<Takers>, tick: Tick, shared: Arc<Shared>) {
    let start = Instant::now();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut settling) = (0, 0);
    loop {
        period.tick().await;
        let now = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        tick.set(now);
        register.sweep(now, &shared);
        takers.sweep(now, &shared);
        let parked = shared.counters.parked.load(Relaxed);
        if std::mem::replace(&mut seen, parked) != parked {
            settling = SETTLING;
        }
        if settling > 0 {
            settling -= 1;
            settle();
        }
    }
}

/// mimalloc returns what was freed to the system a second later, but only when it frees yet another page: after many
/// connections were parked nothing may come. So it gets a page of its own to free; nobody ever writes to it.
fn settle() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(PAGE_BYTES)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_used_again() {
        let (register, tick) = (Register::default(), Tick::new());
        let enter = || register.enter(Stamps::new(&tick), Waker::noop().clone());
        let (first, second) = (enter(), enter());
        drop(first);
        let third = enter();
        assert_eq!((second.number, third.number), (1, 0));
        assert_eq!(register.0.borrow().taken.len(), 2);
        register.finish_all();
        drop((second, third));
        assert!(register.0.borrow().taken.iter().all(Option::is_none));
    }
}
