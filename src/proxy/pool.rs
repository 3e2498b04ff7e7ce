//! Idle connections of one worker. Hands out the newest that is whole and quiet, never waits, and never takes back one
//! that was not read to its end.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use super::upstream::Live;
use crate::policy::Endpoint;

/// How often idle connections are looked at while there are any.
const SWEEP: Duration = Duration::from_secs(1);

/// The idle connections, by upstream, oldest first.
pub(super) struct Pool {
    idle: RefCell<HashMap<Endpoint, Vec<Idle>>>,
    max_age: Duration,
    max_idle: usize,
    sweeping: Cell<bool>,
}

struct Idle {
    live: Box<Live>,
    since: Instant,
}

impl Idle {
    fn is_good(&mut self, max_age: Duration) -> bool {
        self.since.elapsed() < max_age && self.live.is_free()
    }
}

impl Pool {
    pub(super) fn new(max_age: Duration, max_idle: usize) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::new(HashMap::new()), max_age, max_idle, sweeping: Cell::new(false) })
    }

    /// The newest connection that is ready; those found broken on the way are closed.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<Box<Live>> {
        loop {
            let mut newest = self.idle.borrow_mut().get_mut(endpoint)?.pop()?;
            if newest.is_good(self.max_age) {
                return Some(newest.live);
            }
        }
    }

    /// Takes a connection back, or closes it where it is not free.
    pub(super) fn put(self: &Rc<Self>, mut live: Box<Live>) {
        if self.max_idle == 0 || !live.is_free() {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle.borrow_mut();
        if let Some(shelf) = idle.get_mut(&live.endpoint) {
            if shelf.len() >= self.max_idle {
                shelf.remove(0);
            }
            shelf.push(Idle { live, since });
        } else {
            idle.insert(live.endpoint.clone(), vec![Idle { live, since }]);
        }
        drop(idle);
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self), SWEEP.min(self.max_age)));
        }
    }

    /// Closes what is too old or was hung up. Returns whether anything is left.
    fn tidy(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, shelf| {
            shelf.retain_mut(|idle| idle.is_good(self.max_age));
            !shelf.is_empty()
        });
        !idle.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }
}

/// Runs while connections are idle; ends with the pool.
async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.tidy() {
            pool.sweeping.set(false);
            return;
        }
    }
}
