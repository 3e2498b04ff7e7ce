//! How much may be under way at once towards apps, on one worker: a connection to an app is a descriptor, and whoever
//! takes the last one keeps everybody else out. Never waits: who is one too many is told so.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout_at;

/// Requests that wait for one upstream, each with what the visitor sent.
const MOST_WAITING: usize = 1000;

/// Requests and tunnels under way to all apps of one worker.
pub(super) struct Crowd {
    now: Cell<usize>,
    most: usize,
}

impl Crowd {
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { now: Cell::new(0), most })
    }

    pub(super) const fn is_full(&self) -> bool {
        self.now.get() >= self.most
    }

    pub(super) fn enter(&self) {
        self.now.set(self.now.get().saturating_add(1));
    }

    pub(super) fn leave(&self) {
        self.now.set(self.now.get().saturating_sub(1));
    }
}

/// Those who wait for one upstream while it refuses connections, as during a deploy. One of them knocks now and then;
/// when it is let in, the others try as well.
#[derive(Default)]
pub(super) struct Queue {
    length: Cell<usize>,
    /// Somebody knocks.
    knocked: Cell<bool>,
    /// How often somebody was let in.
    opened: Cell<u64>,
    changed: Notify,
}

/// A place in the queue; given back when dropped.
pub(super) struct Waiter<'a> {
    queue: &'a Queue,
    knocks: bool,
    seen: u64,
}

impl Queue {
    /// `None`: too many wait already.
    pub(super) fn join(&self) -> Option<Waiter<'_>> {
        let length = self.length.get();
        (length < MOST_WAITING).then(|| {
            self.length.set(length + 1);
            Waiter { queue: self, knocks: false, seen: self.opened.get() }
        })
    }
}

impl Waiter<'_> {
    /// Waits for the turn to try: after `pause` for the one who knocks, else when somebody was let in. Whether that was
    /// before `deadline`.
    pub(super) async fn turn(&mut self, pause: Duration, deadline: Instant) -> bool {
        loop {
            let changed = self.queue.changed.notified();
            if self.seen != self.queue.opened.get() {
                self.seen = self.queue.opened.get();
                return true;
            }
            if self.knocks || !self.queue.knocked.replace(true) {
                self.knocks = true;
                sleep_until(deadline.min(Instant::now() + pause)).await;
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return false;
            }
        }
    }

    /// It was let in.
    pub(super) fn enters(self) {
        self.queue.opened.set(self.queue.opened.get() + 1);
        if !self.knocks {
            self.queue.changed.notify_waiters();
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.queue.length.set(self.queue.length.get().saturating_sub(1));
        if self.knocks {
            self.queue.knocked.set(false);
            self.queue.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::LocalSet;
    use tokio::time::sleep;
    use tokio::time::timeout;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_mins(1);

    /// Tries until `opens`; how often it did.
    async fn wait(queue: &Queue, opens: Instant, pause: Duration) -> usize {
        let mut waiter = queue.join().unwrap();
        let mut tries = 0;
        while waiter.turn(pause, Instant::now() + LONG).await {
            tries += 1;
            if Instant::now() >= opens {
                waiter.enters();
                break;
            }
        }
        tries
    }

    #[tokio::test]
    async fn one_knocks_for_all_and_all_come_in_when_it_does() {
        let queue = Rc::new(Queue::default());
        let opens = Instant::now() + PAUSE * 20;
        let (set, mut tries) = (LocalSet::new(), Vec::new());
        // Only the first one's pause is short: nobody else's may be waited for.
        let one = |number| {
            let (queue, pause) = (Rc::clone(&queue), if number == 0 { PAUSE } else { LONG });
            set.spawn_local(async move { wait(&queue, opens, pause).await })
        };
        let all: Vec<_> = (0..100).map(one).collect();
        timeout(LONG / 2, set).await.expect("all come in when the door opens");
        for waiter in all {
            tries.push(waiter.await.unwrap());
        }
        assert_eq!(tries.iter().filter(|tries| **tries == 1).count(), 99, "{tries:?}");
        assert!(tries.iter().max() > Some(&1), "{tries:?}");
        assert_eq!(queue.length.get(), 0);
    }

    #[tokio::test]
    async fn when_the_one_who_knocks_leaves_another_does() {
        let queue = Queue::default();
        let opens = Instant::now() + PAUSE * 5;
        {
            let mut first = pin!(wait(&queue, opens, PAUSE));
            tokio::select! {
                biased;
                _ = &mut first => panic!("nobody is let in yet"),
                () = sleep(PAUSE / 2) => {}
            }
        }
        assert!(wait(&queue, opens, PAUSE).await > 0);
    }

    #[tokio::test]
    async fn the_queue_has_an_end_and_so_has_the_waiting() {
        let queue = Queue::default();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| queue.join().unwrap()).collect();
        assert!(queue.join().is_none());
        let deadline = Instant::now() + PAUSE * 3 / 2;
        let (first, second) = waiting.split_at_mut(1);
        let (knocking, other) = tokio::join!(first[0].turn(LONG, deadline), second[0].turn(LONG, deadline));
        assert_eq!((knocking, other, Instant::now() >= deadline), (true, false, true));
        waiting.pop();
        assert!(queue.join().is_some());
    }
}
