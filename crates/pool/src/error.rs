//! Why no connection was given: the stage, the reasons, and the pool as it was.
//!
//! Not in here: what one attempt failed of (`reason`).

use crate::event::write_attempts;
use crate::reason::{Attempt, Stage, Verdict};
use crate::state::PoolState;
use crate::trouble::Report;
use pgmedic_model::Ms;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why `get` gave no connection. Its `Display` is one line with what to do next; it holds no secret.
pub struct GetError(Box<Parts>);

struct Parts {
    why: Why,
    attempts: Vec<Attempt>,
    state: Option<PoolState>,
    elapsed: Duration,
    budget: Duration,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `get` before `PoolCell::set`.
    NotInitialised,
    /// The pool was closed.
    Closed,
    /// No connection can be opened, as is known already; said without waiting.
    Down,
    /// The budget was used up.
    TimedOut,
}

#[derive(Clone, Debug)]
pub(crate) enum Why {
    NotInitialised,
    Closed,
    Down(Arc<Report>),
    TimedOut(Stage),
}

impl GetError {
    pub(crate) fn new(
        why: Why,
        attempts: Vec<Attempt>,
        state: Option<PoolState>,
        elapsed: Duration,
        budget: Duration,
    ) -> Self {
        Self(Box::new(Parts { why, attempts, state, elapsed, budget }))
    }

    pub(crate) fn not_initialised() -> Self {
        Self::new(Why::NotInitialised, Vec::new(), None, Duration::ZERO, Duration::ZERO)
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.why {
            Why::NotInitialised => Kind::NotInitialised,
            Why::Closed => Kind::Closed,
            Why::Down(_) => Kind::Down,
            Why::TimedOut(_) => Kind::TimedOut,
        }
    }

    /// The stage that failed or ran out. None where the pool was never asked: not initialised, or closed.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        match &self.0.why {
            Why::NotInitialised | Why::Closed => None,
            Why::Down(_) => self.0.attempts.last().map(|attempt| attempt.stage),
            Why::TimedOut(stage) => Some(*stage),
        }
    }

    /// What each connection attempt failed of, oldest first; the last may still have been under way.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// The pool as it was. None where there was none.
    #[must_use]
    pub fn state(&self) -> Option<&PoolState> {
        self.0.state.as_ref()
    }

    /// How long the caller waited.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How long it might have waited.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.0.budget
    }

    fn last_verdict(&self) -> Option<Verdict> {
        self.0.attempts.last().map(|attempt| attempt.reason.verdict())
    }

    /// One line to do something about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match (&self.0.why, self.stage()) {
            (Why::NotInitialised, _) => "set the pool at start-up, before requests are served",
            (Why::Closed, _) => "the process is shutting down: let the client try another instance",
            (Why::Down(_), _) if self.last_verdict() == Some(Verdict::Refused) => {
                "check user, password, database and pg_hba.conf: the server is there and turns this login down"
            }
            (_, Some(Stage::Queue)) => {
                "find who holds the connections (the oldest checkout's place), or raise max within the server's limits"
            }
            (_, Some(Stage::Dns)) => "check the name and the resolver: getent hosts NAME",
            (_, Some(Stage::Connect)) => "check that the server runs and listens there: pgmedic check",
            (_, Some(Stage::Tls)) => "check sslmode, the certificate and its name: pgmedic check",
            (_, Some(Stage::Startup)) => {
                "the server accepts and does not answer: pgmedic check tells a hung proxy from a hung server"
            }
            (_, Some(Stage::Admission)) => "the server has no place now: count its sessions, pgmedic check",
            (_, Some(Stage::Recycle)) => "the server or the way to it went silent: pgmedic check",
            (_, None) => "pgmedic check",
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { why, attempts, state, elapsed, budget } = &*self.0;
        match why {
            // Word for word what the runbook's logs have.
            Why::NotInitialised => f.write_str("Database not initialised")?,
            Why::Closed => f.write_str("no connection: the pool is closed")?,
            Why::Down(report) => {
                f.write_str("no connection: ")?;
                write!(f, "{report}")?;
            }
            Why::TimedOut(stage) => {
                write!(f, "no connection within {}: {stage}", Ms::from(*budget.min(elapsed)))?;
                if !attempts.is_empty() {
                    f.write_str(": ")?;
                    write_attempts(f, attempts)?;
                }
            }
        }
        if let Some(state) = state {
            write!(f, "; pool: {state}")?;
        }
        write!(f, "; next: {}", self.hint())
    }
}

impl fmt::Debug for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetError")
            .field("kind", &self.kind())
            .field("stage", &self.stage())
            .field("attempts", &self.0.attempts)
            .field("state", &self.0.state)
            .field("elapsed", &self.0.elapsed)
            .field("budget", &self.0.budget)
            .finish()
    }
}

impl std::error::Error for GetError {}
