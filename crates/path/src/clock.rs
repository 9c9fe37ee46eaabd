//! The one place that reads the clocks.

use pgmedic_model::{Ms, Timestamp};
use std::time::SystemTime;

/// Wall time, for saying when.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// A stage being timed. Uses tokio's clock, which tests can pause.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    /// When the stage began, for saying when.
    pub at: Timestamp,
    from: tokio::time::Instant,
}

impl Stopwatch {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self { at: now(), from: tokio::time::Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Ms {
        self.from.elapsed().into()
    }
}
