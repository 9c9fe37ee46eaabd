//! The same metrics for pools that are there already: sqlx's, deadpool's, bb8's, as far as each can tell.
//!
//! Gauges are read from the pool itself, however it is used. Times, waiting callers and timeouts are known of callers that
//! come by the adapter's own `acquire` or `get`. Not in here: our own pool's.

#[cfg(feature = "bb8")]
pub mod bb8;
#[cfg(feature = "deadpool")]
pub mod deadpool;
#[cfg(feature = "sqlx")]
pub mod sqlx;

use crate::metrics::{Counts, Numbers};
use crate::reason::Stage;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// What is measured of callers that come this way.
#[derive(Debug, Default)]
struct Measured {
    counts: Counts,
    waiting: AtomicU64,
}

/// Counts a caller that waits, for as long as it does.
struct WaitingNow<'a>(&'a AtomicU64);

impl Drop for WaitingNow<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Measured {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    async fn acquire<T, E>(
        &self,
        ask: impl Future<Output = Result<T, E>>,
        stage: impl FnOnce(&E) -> Option<Stage>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        self.waiting.fetch_add(1, Relaxed);
        let waiting = WaitingNow(&self.waiting);
        let outcome = ask.await;
        drop(waiting);
        match &outcome {
            Ok(_) => self.counts.acquired(begun.elapsed()),
            Err(e) => {
                if let Some(stage) = stage(e) {
                    self.counts.timed_out(stage);
                }
            }
        }
        outcome
    }

    /// What was measured; the pool's own gauges are to be filled in.
    fn numbers(&self) -> Numbers {
        Numbers::measured(&self.counts, self.waiting.load(Relaxed))
    }
}
