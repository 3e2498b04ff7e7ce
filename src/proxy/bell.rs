//! How a connection calls the task that holds it. What it says while that task is looking at it anyway would only make
//! it look once more for nothing: two halves of one connection wake each other whenever something passes between them.
//! Never swallows a call: what was not passed on is asked for afterwards. All who ring it live on one worker's thread.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

/// One connection's.
pub(super) struct Bell {
    line: Arc<Line>,
    /// The line, as hyper takes it.
    waker: Waker,
    /// Whom the line calls.
    task: Option<Waker>,
}

#[derive(Default)]
struct Line {
    muted: AtomicBool,
    rang: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Relaxed);
        if !self.muted.load(Relaxed)
            && let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            task.wake_by_ref();
        }
    }
}

impl Bell {
    pub(super) fn new() -> Self {
        let line = Arc::<Line>::default();
        let waker = Waker::from(Arc::clone(&line));
        Self { line, waker, task: None }
    }

    /// Calls the task of `cx` from now on.
    pub(super) fn attend(&mut self, cx: &Context<'_>) {
        if self.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.line.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.task);
        }
    }

    /// Calls nobody until somebody attends again: who did may be long gone, and would be kept in memory.
    pub(super) fn leave(&mut self) {
        if self.task.take().is_some() {
            self.line.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Does what is followed by a look: nobody needs to be called for it.
    pub(super) fn muted<T>(&self, act: impl FnOnce() -> T) -> T {
        self.line.muted.store(true, Relaxed);
        let done = act();
        self.line.muted.store(false, Relaxed);
        done
    }

    /// As [`Bell::muted`], of what changes nothing for who looks next, however it rings.
    pub(super) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        let rang = self.rang();
        let done = self.muted(act);
        self.line.rang.store(rang, Relaxed);
        done
    }

    /// Whether it rang since the last look.
    pub(super) fn rang(&self) -> bool {
        self.line.rang.load(Relaxed)
    }

    /// Looks at what rings: it will ring when there is more to see. To be called `muted`, or by the task that would be
    /// called.
    pub(super) fn look<T>(&self, at: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.line.rang.store(false, Relaxed);
        at(&mut Context::from_waker(&self.waker))
    }
}
