//! How one timeout is shared out, so that every stage ends in time for the next.
//!
//! | share of the timeout | what ends |
//! |---|---|
//! | 0.5 | front and direct, to ReadyForQuery; the looks from the side |
//! | 0.7 | the statement on the front where there is another way to ask on; rescue, to ReadyForQuery |
//! | 0.75 | a second connection where the statement was not answered |
//! | 0.8 | the window on this host |
//! | 0.9 | the statement on the last way |
//! | 0.95 | `select 1` where the statement was refused |
//! | 0.98 | cancel requests and farewells |

use super::statement::Pace;
use crate::rooms::startup::probe::Bounds;
use crate::route::Deadlines;
use std::time::Duration;
use tokio::time::Instant;

/// One walk's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    begun: Instant,
    timeout: Duration,
}

impl Budget {
    /// Starts it.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout }
    }

    fn at(&self, share: f64) -> Instant {
        self.begun + self.timeout.mul_f64(share)
    }

    /// For front and direct.
    pub(super) fn ways(&self) -> Deadlines {
        Deadlines::until(self.at(0.5), self.last())
    }

    /// For a way that is walked only when the front's session is closed: a front that was silent leaves it a quarter.
    pub(super) fn after_the_front(&self) -> Deadlines {
        let end = (Instant::now() + self.timeout.mul_f64(0.25)).min(self.at(0.75)).max(self.at(0.5));
        Deadlines::until(end, self.last())
    }

    /// For rescue.
    pub(super) fn rescue(&self) -> Deadlines {
        Deadlines::until(self.at(0.7), self.last())
    }

    /// For the looks from the side.
    pub(super) fn sides(&self) -> Instant {
        self.at(0.5)
    }

    /// For the glance at this host's volumes beside the statement.
    pub(super) fn glance(&self) -> Instant {
        Instant::now() + self.timeout.mul_f64(0.1)
    }

    /// For the window on this host.
    pub(super) fn window(&self) -> Instant {
        self.at(0.8)
    }

    /// For the statement, on the only way to ask on or on one of several.
    pub(super) fn statement(&self, only: bool) -> Instant {
        let share = if only { 0.4 } else { 0.2 };
        (Instant::now() + self.timeout.mul_f64(share)).min(self.at(0.9))
    }

    /// For the statement with all that belongs to it, from now on.
    pub(super) fn pace(&self, only: bool) -> Pace {
        let life = (self.timeout.mul_f64(0.1), self.at(0.95));
        Pace { statement: self.statement(only), life, bounds: self.bounds(only) }
    }

    /// For the second connection after a query that was not answered.
    pub(super) fn aftermath(&self) -> Instant {
        (Instant::now() + self.timeout.mul_f64(0.25)).min(self.at(0.75))
    }

    /// For cancel requests and farewells.
    fn last(&self) -> Instant {
        self.at(0.98)
    }

    /// What the server is asked to end by itself, a little before the statement's own deadline: its word that it did so
    /// is better evidence than silence. No lock is waited for longer than half of that.
    pub(super) fn bounds(&self, only: bool) -> Bounds {
        let share = if only { 0.35 } else { 0.17 };
        Bounds { statement: self.timeout.mul_f64(share), lock: self.timeout.mul_f64(share / 2.0) }
    }
}
