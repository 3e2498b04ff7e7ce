//! What replicas have not confirmed is said again until one has: one queue and one task for all of it, and each thing is in
//! it once, however often it was said. Never holds more than it may, and never calls confirmed what is not.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Redis;
use super::connection::Ask;
use super::keys;
use super::server::Lane;
use crate::store::StoreError;

/// Between two attempts to have a replica confirm; doubled each time, up to the second.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of all that waits: revocations of some tens of thousands of links.
const ROOM: usize = 16 << 20;
/// How much is said at once.
const TOGETHER: usize = 500;
/// So many times the time-out is waited for replicas by who asks whether they have confirmed.
pub(super) const PATIENCE: u32 = 3;

/// The queue. Empty at first; its task lives while there is something in it.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    waiting: Mutex<Waiting>,
    /// How much is open: what waits, and what found no room any more.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    names: HashSet<[u8; 32]>,
    bytes: usize,
    /// There was no room for so many: nothing brings them to a replica but what it follows by itself.
    dropped: usize,
    /// The task lives.
    worked: bool,
}

/// Something to say, under the name that two sayings of the same have in common.
#[derive(Debug)]
struct Entry {
    name: [u8; 32],
    bytes: usize,
    ask: Ask,
}

impl Entry {
    fn new(ask: Ask) -> Self {
        let packed = ask.packed();
        let parts: Vec<&[u8]> = packed.iter().map(Vec::as_slice).collect();
        Self { name: keys::sha256(&parts), bytes: parts.iter().map(|part| part.len()).sum(), ask }
    }
}

impl Repeats {
    /// Takes what is not in the queue yet. Says whether a task is wanted.
    fn add(&self, asks: Vec<Ask>) -> bool {
        let mut waiting = self.waiting();
        for entry in asks.into_iter().map(Entry::new) {
            if waiting.names.contains(&entry.name) {
                continue;
            }
            if waiting.bytes + entry.bytes > ROOM {
                if waiting.dropped == 0 {
                    tracing::warn!(
                        "more was taken away than can be said again to replicas; it is in force here: see to the replicas, \
                         then revoke again"
                    );
                }
                waiting.dropped += 1;
                continue;
            }
            waiting.bytes += entry.bytes;
            waiting.names.insert(entry.name);
            waiting.entries.push_back(entry);
        }
        self.count(&waiting);
        let wanted = !waiting.worked && !waiting.entries.is_empty();
        waiting.worked |= wanted;
        wanted
    }

    /// What has waited longest; empty: nothing waits any more, and the task has ended.
    fn first(&self) -> Vec<Ask> {
        let mut waiting = self.waiting();
        let first: Vec<Ask> = waiting.entries.iter().take(TOGETHER).map(|entry| entry.ask.clone()).collect();
        waiting.worked = !first.is_empty();
        first
    }

    /// Crosses the first ones out, or has them wait behind the others.
    fn said(&self, sure: &[bool]) {
        let mut waiting = self.waiting();
        for sure in sure {
            let Some(entry) = waiting.entries.pop_front() else { break };
            if *sure {
                waiting.names.remove(&entry.name);
                waiting.bytes -= entry.bytes;
            } else {
                waiting.entries.push_back(entry);
            }
        }
        self.count(&waiting);
    }

    fn count(&self, waiting: &Waiting) {
        self.open.send_replace(waiting.entries.len() + waiting.dropped);
    }

    /// How much is to be confirmed.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        *self.open.borrow()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Says something that can be said twice until a replica has confirmed it: a revocation stays in force here, and
    /// must not be lost with one server.
    pub(super) fn repeat(&self, asks: Vec<Ask>) {
        if self.repeats.add(asks) {
            self.connection.home().spawn(self.clone().say_again());
        }
    }

    async fn say_again(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let asks = self.repeats.first();
            if asks.is_empty() {
                return;
            }
            let outcomes = self.run_all_surely(Lane::Sure, &asks).await;
            let sure: Vec<bool> =
                outcomes.into_iter().map(|outcome| outcome.is_ok_and(|(_, sure)| sure)).collect();
            self.repeats.said(&sure);
            if sure.contains(&true) {
                pause = FIRST_PAUSE;
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Waits until nothing is to be said again any more, for as long as a person waits for a command.
    pub(in crate::store) async fn confirmed(&self) -> Result<(), StoreError> {
        let mut open = self.repeats.open.subscribe();
        let heard = timeout(self.connection.timeout() * PATIENCE, open.wait_for(|open| *open == 0)).await;
        if heard.is_ok_and(|heard| heard.is_ok()) { Ok(()) } else { Err(unconfirmed()) }
    }
}

/// What is told to who must not believe that all is well.
pub(super) fn unconfirmed() -> StoreError {
    StoreError::Away(
        "Redis: it is in force on this Redis, but no replica has confirmed it, so that a fail-over now would undo it. See \
         that the replicas follow (redis-cli INFO replication), or ask for fewer in store.replicas; then say it again"
            .to_owned(),
    )
}
