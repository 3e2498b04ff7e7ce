//! HTTP/2 answers that wait for their visitor: a stream's window can stay shut while its connection lives, so each
//! stream is watched by itself. Ends streams; what outlives its stream's task is the connection's matter.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::guard::Caught;
use super::leftovers::Leftover;
use super::leftovers::Leftovers;
use super::limits::Shared;
use super::limits::count;
use super::stamps::Order;
use super::stamps::Stamps;
use super::stamps::passed;

/// Requests of a connection that its visitor may give up before they were answered, as long as most are waited for.
const GIVEN_UP: u64 = 200;

/// How one answer is taken.
#[derive(Debug, Default)]
pub(super) struct Taker {
    /// Since when the visitor has not taken the piece handed out last; zero: nothing waits.
    waits: Cell<u64>,
    listed: Cell<bool>,
    cut: Cell<bool>,
    /// Whether the answer has begun.
    answered: Cell<bool>,
    /// Pieces handed out that are not yet gone.
    kept: Cell<u32>,
    /// Once the task has ended with some of them kept.
    left: RefCell<Option<Leftover>>,
}

impl Taker {
    /// A piece of the answer is asked for: the one before is on its way.
    pub fn asks(&self) {
        self.waits.set(0);
    }

    /// The answer begins.
    pub fn answered(&self) {
        self.answered.set(true);
    }

    /// Ends the stream at its next poll; the caller wakes its task.
    pub fn cut_off(&self) {
        self.cut.set(true);
    }

    /// A piece of the answer was handed out.
    pub fn has(&self, now: u64) {
        self.waits.set(now);
    }

    /// The task is over; what is kept of its answer is watched from now on with the connection.
    fn ends(&self, stamps: &Arc<Stamps>) {
        self.waits.set(0);
        if self.kept.get() > 0 {
            *self.left.borrow_mut() = Some(Leftovers::enter(stamps));
        }
    }
}

/// Marks a piece of an answer as kept until it is dropped.
#[derive(Debug)]
pub(super) struct Kept(Rc<Taker>);

impl Kept {
    pub fn new(taker: &Rc<Taker>) -> Self {
        taker.kept.set(taker.kept.get().saturating_add(1));
        Self(Rc::clone(taker))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let left = self.0.kept.get().saturating_sub(1);
        self.0.kept.set(left);
        if left == 0 {
            drop(self.0.left.take());
        }
    }
}

/// One worker's streams that wait; most never do, and never come here.
#[derive(Debug, Default)]
pub(super) struct Takers(RefCell<Vec<(Rc<Taker>, Waker)>>);

impl Takers {
    fn wait(&self, taker: &Rc<Taker>, task: &Waker) {
        if !taker.listed.replace(true) {
            self.0.borrow_mut().push((Rc::clone(taker), task.clone()));
        }
    }

    /// Ends those that have waited too long.
    pub fn sweep(&self, now: u64, shared: &Shared) {
        self.0.borrow_mut().retain(|(taker, task)| {
            let over = passed(taker.waits.get(), now, shared.limits.body_timeout);
            if over {
                count(&shared.counters.timed_out);
                taker.cut.set(true);
                task.wake_by_ref();
            }
            let stays = taker.waits.get() != 0 && !over;
            taker.listed.set(stays);
            stays
        });
    }
}

/// How often one connection's visitor asks and does not wait for the answer: each time the app has had the work.
#[derive(Debug, Default)]
pub(super) struct Whims {
    asked: Cell<u64>,
    given_up: Cell<u64>,
}

impl Whims {
    pub fn asks(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    fn gives_up(&self, stamps: &Stamps) {
        let given_up = self.given_up.get() + 1;
        self.given_up.set(given_up);
        if given_up < GIVEN_UP || given_up * 2 <= self.asked.get() {
            return;
        }
        // Who goes on all the same does not want to hear a goodbye. The visitor's next frame wakes the connection.
        stamps.give(if given_up < 2 * GIVEN_UP { Order::Finish } else { Order::Cut });
    }
}

/// Starts one HTTP/2 connection's tasks on the worker's own thread.
#[derive(Clone, Debug)]
pub(super) struct LocalExecutor {
    pub shared: Arc<Shared>,
    pub takers: Rc<Takers>,
    pub stamps: Arc<Stamps>,
    pub whims: Rc<Whims>,
    /// The taker of the request handed to the service last: hyper starts its task right after.
    pub next: Rc<RefCell<Option<Rc<Taker>>>>,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        let task = Caught::new(task, &self.shared);
        let taker = self.next.borrow_mut().take().unwrap_or_else(|| {
            // A tunnel's, which was answered before it began.
            let taker = Taker::default();
            taker.answered();
            Rc::new(taker)
        });
        let (takers, stamps) = (Rc::clone(&self.takers), Arc::clone(&self.stamps));
        let whims = Rc::clone(&self.whims);
        drop(tokio::task::spawn_local(Watched { task, taker, takers, stamps, whims }));
    }
}

/// A stream's task, which ends when it is cut.
struct Watched<F> {
    task: Caught<F>,
    taker: Rc<Taker>,
    takers: Rc<Takers>,
    stamps: Arc<Stamps>,
    whims: Rc<Whims>,
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.taker.cut.get() {
            // What is dropped unfinished is reset.
            return Poll::Ready(());
        }
        if let Poll::Ready(output) = Pin::new(&mut self.task).poll(cx) {
            // A panic is no whim of the visitor's.
            if output.is_some() && !self.taker.answered.get() {
                self.whims.gives_up(&self.stamps);
            }
            self.taker.ends(&self.stamps);
            return Poll::Ready(());
        }
        if self.taker.waits.get() != 0 {
            self.takers.wait(&self.taker, cx.waker());
        }
        Poll::Pending
    }
}
