//! Answers that must not tell by their time whether an address is known: what is written to the disk for a person and
//! for a stranger differs in size. Never makes an answer early; hides differences, does not even them out.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Such answers take a whole number of these. Well above what a disk takes, well below what a person notices.
const STEP: Duration = Duration::from_millis(100);

/// Does the work, and lets nobody see how long it took, but for whole steps.
pub(super) async fn steadily<T>(work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let outcome = work.await;
    tokio::time::sleep_until(began + shown(began.elapsed())).await;
    outcome
}

/// How long work seems to have taken: the next whole step.
fn shown(took: Duration) -> Duration {
    let steps = u32::try_from(took.as_nanos() / STEP.as_nanos()).unwrap_or(u32::MAX);
    STEP.saturating_mul(steps.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_and_slow_work_take_the_same_time() {
        for (took, seen) in [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (420, 500)] {
            assert_eq!(shown(Duration::from_millis(took)), Duration::from_millis(seen), "{took}");
        }
    }
}
