//! The orderly end of one worker: nothing new, what runs may finish, what is idle closes at once.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Handle;
use super::worker::Command;
use super::worker::Core;

/// Waits until the worker's sockets are closed, at most `within`; returns how many are left.
///
/// Goes on answering heartbeats, so that the watchdog does not end a drain.
pub(super) async fn run<H: Handle>(
    doors: Vec<JoinHandle<()>>,
    core: &Core<H>,
    orders: &mut mpsc::UnboundedReceiver<Command<H>>,
    within: Duration,
) -> usize {
    let end = async {
        for door in doors {
            // A door that panicked is closed as well.
            let _ = door.await;
        }
        core.register.finish_all();
        H::leave(&core.current().1);
        core.live.empty().await;
    };
    let beats = async {
        while let Some(order) = orders.recv().await {
            match order {
                Command::Beat(done) | Command::Swap { done, .. } => {
                    let _ = done.send(());
                }
                Command::Drain { done, .. } => {
                    let _ = done.send(0);
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = timeout(within, async {
        tokio::select! {
            () = end => {}
            () = beats => {}
        }
    });
    if ended.await.is_err() {
        tracing::warn!(open = core.live.count(), "the time to drain is over; what still runs is cut");
    }
    core.live.count()
}

/// The result of `future` if it is there already.
pub(super) async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
