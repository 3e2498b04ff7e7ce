//! Turns a panic into the loss of one task, counted and logged; never into the loss of a worker.

use std::future::Future;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::limits::Shared;
use super::limits::count;

/// Runs `task`; `None` when it panicked. What it held is dropped, so half-changed values are not seen again.
pub(super) async fn caught<F: Future>(task: F, shared: &Shared) -> Option<F::Output> {
    let mut task = pin!(task);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_panic) => {
            count(&shared.counters.panics);
            tracing::error!("a request made linkgate panic; its connection is closed. Please report this");
            Poll::Ready(None)
        }
    })
    .await
}

/// Starts HTTP/2's tasks on the worker's own thread.
#[derive(Clone, Debug)]
pub(super) struct LocalExecutor(pub Arc<Shared>);

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        let shared = Arc::clone(&self.0);
        drop(tokio::task::spawn_local(async move {
            caught(task, &shared).await;
        }));
    }
}
