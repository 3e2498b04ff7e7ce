//! Idle HTTP/1 connections of one worker. Hands out the newest that is whole and quiet, never waits, and never takes
//! back one that was not read to its end.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use super::balance::Backend;
use super::upstream::Live;

/// How often idle connections are looked at while there are any.
const SWEEP: Duration = Duration::from_secs(1);

/// The idle connections of one endpoint, oldest first.
#[derive(Default)]
pub(super) struct Shelf {
    idle: RefCell<Vec<Idle>>,
    /// Whether the sweeper knows of it.
    listed: Cell<bool>,
}

struct Idle {
    live: Box<Live>,
    /// Of the first sweep that found it; `None`: none did yet.
    since: Option<Instant>,
}

impl Idle {
    /// At a sweep.
    fn is_good(&mut self, now: Instant, max_age: Duration) -> bool {
        self.live.rest();
        now.duration_since(*self.since.get_or_insert(now)) < max_age && self.live.is_free()
    }
}

impl Shelf {
    /// The newest connection that is ready; those found broken on the way are closed.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        loop {
            let mut newest = self.idle.borrow_mut().pop()?;
            if newest.live.is_free() {
                return Some(newest.live);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.borrow().len()
    }
}

/// Closes what lies idle for too long, at all endpoints of one worker.
pub(super) struct Sweeper {
    max_age: Duration,
    max_idle: usize,
    /// Endpoints that may have something to close.
    listed: RefCell<Vec<Weak<Backend>>>,
    sweeping: Cell<bool>,
}

impl Sweeper {
    pub(super) fn new(max_age: Duration, max_idle: usize) -> Rc<Self> {
        Rc::new(Self { max_age, max_idle, listed: RefCell::default(), sweeping: Cell::new(false) })
    }

    /// Takes a connection back after the end of an answer. Whether it may serve again is asked when it is to, and once
    /// a second.
    pub(super) fn put(self: &Rc<Self>, backend: &Rc<Backend>, live: Box<Live>) {
        if self.max_idle == 0 || live.is_over() {
            return;
        }
        let mut idle = backend.shelf.idle.borrow_mut();
        if idle.len() >= self.max_idle {
            idle.remove(0);
        }
        idle.push(Idle { live, since: None });
        drop(idle);
        self.list(backend);
    }

    /// Looks after an endpoint until it has nothing left that could be closed.
    pub(super) fn list(self: &Rc<Self>, backend: &Rc<Backend>) {
        if !backend.shelf.listed.replace(true) {
            self.listed.borrow_mut().push(Rc::downgrade(backend));
        }
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self), SWEEP.min(self.max_age)));
        }
    }

    /// Closes what is too old or was hung up. Returns whether anything is left.
    fn tidy(&self) -> bool {
        let now = Instant::now();
        let mut listed = self.listed.take();
        listed.retain(|backend| {
            let Some(backend) = backend.upgrade() else { return false };
            let mut idle = backend.shelf.idle.borrow_mut();
            idle.retain_mut(|idle| idle.is_good(now, self.max_age));
            let keep = backend.lanes.tidy(self.max_age) || !idle.is_empty();
            backend.shelf.listed.set(keep);
            keep
        });
        let mut now = self.listed.borrow_mut();
        now.append(&mut listed);
        !now.is_empty()
    }
}

/// Runs while connections are idle; ends with the proxy.
async fn sweep(sweeper: Weak<Sweeper>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(sweeper) = sweeper.upgrade() else { return };
        if !sweeper.tidy() {
            sweeper.sweeping.set(false);
            return;
        }
    }
}
