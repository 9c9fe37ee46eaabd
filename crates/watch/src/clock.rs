//! Wall time for a daemon: the system's, or tokio's clock carried on from a point, so that a test's paused clock moves both.

use pgmedic_model::Timestamp;
use tokio::time::Instant;

/// Where the wall time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// This host's clock.
    #[default]
    System,
    /// tokio's clock, which tests can pause, carried on from a point in time.
    From(Timestamp, Instant),
}

impl Clock {
    /// A clock that goes with tokio's from this point on.
    #[must_use]
    pub fn from(at: Timestamp) -> Self {
        Self::From(at, Instant::now())
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => pgmedic_path::clock::now(),
            Self::From(at, from) => at.plus(from.elapsed().into()),
        }
    }
}
