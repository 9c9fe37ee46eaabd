//! Whether the database can be had, for a load balancer: an answer within a deadline of its own, whatever the pool does.
//!
//! The order is that of cost. What the pool has heard within the last second proves the database alive and costs nothing.
//! What is known to be down is said at once. Only otherwise somebody looks, and however many ask meanwhile, it is one:
//! over an idle connection where a request would still find another, by a new one where there is room for it, and over a
//! connection beside the pool where it is full and silent. So no request waits for a probe's sake, and a full pool over a
//! healthy database is ready.
//!
//! Not in here: HTTP (`axum.rs`, `tower.rs`).

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
pub mod tower;

mod look;

use crate::inner::Inner;
use crate::pool::{Pool, PoolCell};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A "no" is kept no longer than this: the next "yes" is to be seen within a second.
const KEEP_NO: Duration = Duration::from_millis(200);

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The database can be had.
    Ready,
    /// It cannot.
    NotReady {
        /// Why, in one line, without secrets.
        reason: String,
    },
}

impl Answer {
    /// The HTTP status: 200 or 503.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Ready => 200,
            Self::NotReady { .. } => 503,
        }
    }

    /// The body, as JSON: `{"status":"ready","db":"connected"}`, or
    /// `{"status":"not_ready","db":"disconnected","reason":"…"}`.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Ready => r#"{"status":"ready","db":"connected"}"#.to_owned(),
            Self::NotReady { reason } => {
                let reason = serde_json::Value::from(reason.as_str());
                format!(r#"{{"status":"not_ready","db":"disconnected","reason":{reason}}}"#)
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::NotReady { reason } => write!(f, "not ready: {reason}"),
        }
    }
}

/// Answers whether the database can be had. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Readiness {
    pool: Source,
    deadline: Duration,
    fresh: Duration,
    known: Arc<Mutex<Known>>,
}

/// Whose readiness it is.
#[derive(Clone, Debug)]
enum Source {
    Pool(Pool),
    Cell(PoolCell),
}

/// What those who ask share.
#[derive(Debug, Default)]
struct Known {
    last: Option<(Instant, Answer)>,
    looking: Option<watch::Receiver<Option<Answer>>>,
}

impl Readiness {
    /// Of a pool.
    #[must_use]
    pub fn of(pool: Pool) -> Self {
        Self::new(Source::Pool(pool))
    }

    /// Of a pool that may not be there yet: until it is set the reason is `Database not initialised`.
    #[must_use]
    pub fn of_cell(cell: PoolCell) -> Self {
        Self::new(Source::Cell(cell))
    }

    fn new(pool: Source) -> Self {
        let known = Arc::default();
        Self { pool, deadline: Duration::from_secs(1), fresh: Duration::from_secs(1), known }
    }

    /// How long an answer may take. Default 1 s. A load balancer's own timeout must be longer.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a proof of life counts. Default 1 s.
    #[must_use]
    pub fn fresh(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }

    /// The answer, within the deadline.
    pub async fn check(&self) -> Answer {
        let pool = match &self.pool {
            Source::Pool(pool) => pool,
            Source::Cell(cell) => match cell.pool() {
                Some(pool) => pool,
                None => return no("Database not initialised"),
            },
        };
        let now = Instant::now();
        if let Some(answer) = at_once(pool.inner(), now, self.fresh) {
            return answer;
        }
        let mut looking = match self.known_or_looking(pool.inner(), now) {
            Ok(answer) => return answer,
            Err(looking) => looking,
        };
        let outcome = tokio::time::timeout(self.deadline, looking.wait_for(Option::is_some)).await;
        match outcome {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Answer::Ready),
            Ok(Err(_)) => no("the runtime that the pool was built on has ended"),
            Err(_) => {
                let so_far = pool.inner().so_far();
                let within = pgmedic_model::Ms::from(self.deadline);
                no(&so_far.unwrap_or_else(|| format!("the database does not answer within {within}")))
            }
        }
    }

    /// What was found a moment ago, or the look that is under way; one begins where none is.
    fn known_or_looking(
        &self,
        pool: &Arc<Inner>,
        now: Instant,
    ) -> Result<Answer, watch::Receiver<Option<Answer>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, answer)) = &known.last {
            let keep = if *answer == Answer::Ready { self.fresh } else { KEEP_NO };
            if now.duration_since(*at) < keep {
                return Ok(answer.clone());
            }
        }
        if let Some(looking) = &known.looking
            && looking.has_changed().is_ok()
        {
            return Err(looking.clone());
        }
        let (tell, looking) = watch::channel(None);
        known.looking = Some(looking.clone());
        drop(known);
        let (pool, shared, deadline) = (Arc::clone(pool), Arc::clone(&self.known), self.deadline);
        // Not the asker's own affair: who hangs up does not end it for the others.
        pool.runtime.clone().spawn(async move {
            let (answer, alone) = look::look(&pool, deadline).await;
            let mut known = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let keep = alone || answer != Answer::Ready;
            known.last = keep.then(|| (Instant::now(), answer.clone()));
            known.looking = None;
            drop(known);
            tell.send_replace(Some(answer));
        });
        Err(looking)
    }
}

/// What is known without a look.
fn at_once(pool: &Inner, now: Instant, fresh: Duration) -> Option<Answer> {
    let state = pool.state();
    if state.closed {
        return Some(no("the pool is closed"));
    }
    if state.heard().is_some_and(|heard| now.duration_since(heard) < fresh) {
        return Some(Answer::Ready);
    }
    if state.is_hopeless(now) {
        let report = state.trouble.as_ref().map(|trouble| Arc::clone(&trouble.report))?;
        return Some(no(&report.to_string()));
    }
    None
}

fn no(reason: &str) -> Answer {
    Answer::NotReady { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_the_runbooks_own() {
        assert_eq!(Answer::Ready.body(), r#"{"status":"ready","db":"connected"}"#);
        let not = no("a \"quoted\"\nreason");
        assert_eq!(
            not.body(),
            r#"{"status":"not_ready","db":"disconnected","reason":"a \"quoted\"\nreason"}"#
        );
        assert_eq!((Answer::Ready.status(), not.status()), (200, 503));
    }
}
