//! Wall time for a daemon: the system's, or tokio's clock carried on from a point, so that a test's paused clock moves both.

use pgmedic_model::{Ms, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

/// Where the wall time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// This host's clock.
    #[default]
    System,
    /// tokio's clock, which tests can pause, carried on from a point in time.
    From(Timestamp, Instant),
    /// One that a test sets.
    #[cfg(test)]
    Set(&'static std::sync::atomic::AtomicI64),
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
            #[cfg(test)]
            Self::Set(at) => Timestamp(at.load(std::sync::atomic::Ordering::Relaxed)),
        }
    }
}

/// A clock that goes on by itself is off by less than this within a second, in ms; one that is off by more was set.
const SET: f64 = 2000.0;

/// Notices that the wall clock was set: what has lasted is then another span by it than it was.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    wall: Timestamp,
    at: Instant,
}

impl Steady {
    /// From now on, by that clock.
    #[must_use]
    pub fn by(clock: Clock) -> Self {
        Self { wall: clock.now(), at: Instant::now() }
    }

    /// By how much the clock was set since this was last asked: forward, or back where it is less than 0. To be asked often.
    pub fn set_by(&mut self, clock: Clock) -> Option<Ms> {
        let went = Ms::from(self.at.elapsed());
        let now = Self::by(clock);
        let by = now.wall.0 - self.wall.plus(went).0;
        *self = now;
        let span = Ms::from(Duration::from_millis(by.unsigned_abs()));
        (span.0 > SET).then_some(if by < 0 { Ms(-span.0) } else { span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_is_noticed_once_and_one_that_drifts_is_not() {
        static WALL: AtomicI64 = AtomicI64::new(1_000_000_000);
        let clock = Clock::Set(&WALL);
        let mut steady = Steady::by(clock);
        for (wall_ms, by) in [(1000, None), (1003, None), (3_601_000, Some(3_600_000.0)), (1000, None)] {
            tokio::time::advance(Duration::from_secs(1)).await;
            WALL.fetch_add(wall_ms, Ordering::Relaxed);
            assert_eq!(steady.set_by(clock).map(|ms| ms.0), by);
        }
        WALL.fetch_sub(3_600_000, Ordering::Relaxed);
        assert_eq!(steady.set_by(clock).map(|ms| ms.0), Some(-3_600_000.0));
        assert_eq!(steady.set_by(clock), None);
    }
}
