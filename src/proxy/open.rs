//! How an open stream is reached from outside: told to end, and asked when it last moved. Decides nothing; who judges
//! open streams is the gate.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Waker;

/// Why a stream is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Who opened it may not have it any more.
    Forbidden,
    /// We are stopping.
    Leaving,
    /// Nothing has moved for too long.
    Idle,
}

/// Tenths of a second, counted by whoever looks after open streams, for as long as there are any.
#[derive(Clone, Debug, Default)]
pub struct Tenths(Rc<Cell<u32>>);

impl Tenths {
    /// As of the last count.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.0.get()
    }

    /// Counts on.
    pub fn set(&self, now: u32) {
        self.0.set(now);
    }
}

/// One open stream, as both sides see it: shared by the task that runs it and the register that watches it.
#[derive(Debug, Default)]
pub struct Hold {
    order: Cell<Option<Order>>,
    moved: Cell<u32>,
    task: RefCell<Option<Waker>>,
}

impl Hold {
    /// Tells the stream to end, and wakes it. The first word counts.
    pub fn give(&self, order: Order) {
        if self.order.get().is_none() {
            self.order.set(Some(order));
            if let Some(task) = self.task.borrow().as_ref() {
                task.wake_by_ref();
            }
        }
    }

    /// What the stream was told; `None`: go on.
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        self.order.get()
    }

    /// Notes whom to wake; to be called in every poll.
    pub fn attend(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }

    /// Something moved.
    pub fn moves(&self, now: u32) {
        self.moved.set(now);
    }

    /// When something moved last, in [`Tenths`].
    #[must_use]
    pub fn moved(&self) -> u32 {
        self.moved.get()
    }
}
