//! A time-out that moves with progress. Arms one timer at the first wait and looks at the newest stamp only when it
//! fires, so that neither a busy body nor a busy connection touches the timer wheel.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;

/// How long to wait since the last sign of life.
pub(super) struct Patience {
    limit: Duration,
    /// `None` until something had to be waited for.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// Changes it for what is waited for next. A timer that is armed already is kept.
    pub(super) const fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Ready once `limit` has passed since `since`. A limit beyond the clock's range never ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, since: Instant) -> Poll<()> {
        let Some(deadline) = since.checked_add(self.limit) else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
