//! Turns a panic into the loss of one task, counted and logged; never into the loss of a worker.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::limits::Shared;
use super::limits::count;

/// A task whose panic ends it alone; then the output is `None`. What it held is dropped with it, so half-changed
/// values are not seen again. On the heap, because a task that is moved about should be small.
pub(super) struct Caught<F> {
    task: Pin<Box<F>>,
    shared: Arc<Shared>,
}

impl<F> Caught<F> {
    pub fn new(task: F, shared: &Arc<Shared>) -> Self {
        Self { task: Box::pin(task), shared: Arc::clone(shared) }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task.as_mut();
        match catch_unwind(AssertUnwindSafe(|| task.poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_panic) => {
                count(&self.shared.counters.panics);
                tracing::error!(
                    "a request made linkgate panic; its connection is closed. Please report this"
                );
                Poll::Ready(None)
            }
        }
    }
}
