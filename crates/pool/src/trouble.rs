//! What is known while no connection can be opened, and whether that leaves anything to wait for.
//!
//! A pool is *in trouble* from the first failed opening to the next one that succeeds. Then exactly one probe looks
//! whether the database is back, and callers are told at once, unless there is something to wait for:
//!
//! - one of the pool's own connections heard from the server since a second before the failed attempt began: the server
//!   lives, and a connection in use may be returned (a changed password does not end what is logged in);
//! - the server refused for want of a slot (53300): others may leave. That hope ends after [`HOPE`] where the pool has no
//!   connection of its own: then it is told like any other.
//!
//! Not in here: the probe itself (`opening`).

use crate::event::write_attempts;
use crate::jitter;
use crate::reason::{Attempt, Reason, Stage, Verdict};
use pgmedic_model::Ms;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a full server is waited for by a pool that has no connection at all.
const HOPE: Duration = Duration::from_secs(1);
/// A server that was heard so long before an attempt failed is alive: the connection that it was heard on may well be busy.
const LIVES: Duration = Duration::from_secs(1);
/// The first look for a database that is back comes after this.
const FIRST: Duration = Duration::from_millis(100);
/// And no look later than this after the one before, so that its return is seen within a second.
const SLOWEST: Duration = Duration::from_millis(500);
/// Where the database is there and turns us down, as for a wrong password, nothing is gained by asking twice a second;
/// and an account may be locked by it.
const SLOWEST_REFUSED: Duration = Duration::from_secs(5);
/// Longest that an address may take to answer a probe's knock: a lost SYN is sent again by us, not after the kernel's
/// doubling pauses.
const KNOCK: Duration = Duration::from_millis(500);
/// Every so many looks the knock has all its time, for networks slower than that.
const PATIENT_LOOK: u32 = 8;

/// What callers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    /// The attempts of the last opening that failed.
    pub(crate) attempts: Vec<Attempt>,
    /// Since when no connection could be opened.
    pub(crate) since: Instant,
    /// Openings that failed since.
    pub(crate) tries: u32,
}

impl Report {
    /// Of one opening.
    pub(crate) fn of(attempts: Vec<Attempt>, since: Instant) -> Self {
        Self { verdict: verdict(&attempts), attempts, since, tries: 1 }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_attempts(f, &self.attempts)?;
        if self.tries > 1 {
            write!(f, " ({} times in {})", self.tries, Ms::from(self.since.elapsed()))?;
        }
        Ok(())
    }
}

/// What the pool knows.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) report: Arc<Report>,
    /// When the last opening that failed began.
    pub(crate) last_begun: Instant,
}

impl Trouble {
    /// An opening failed, after `before` or as the first.
    pub(crate) fn after(before: Option<&Self>, attempts: Vec<Attempt>, begun: Instant, now: Instant) -> Self {
        let verdict = verdict(&attempts);
        let (since, tries) = before.map_or((now, 0), |t| (t.report.since, t.report.tries));
        // How long it has been full counts from when it became so.
        let since = if before.is_some_and(|t| t.report.verdict != verdict) && verdict == Verdict::Full {
            now
        } else {
            since
        };
        let report = Arc::new(Report { verdict, attempts, since, tries: tries + 1 });
        Self { report, last_begun: begun }
    }

    /// True where there is nothing to wait for. `heard`: when one of the pool's own connections last heard from the
    /// server; `own`: how many the pool has.
    pub(crate) fn is_hopeless(&self, heard: Option<Instant>, own: usize, now: Instant) -> bool {
        match self.report.verdict {
            Verdict::Full => own == 0 && now.duration_since(self.report.since) >= HOPE,
            Verdict::Down | Verdict::Refused => heard.is_none_or(|heard| heard + LIVES <= self.last_begun),
        }
    }

    /// Time until the next look, counted from the end of the last, which took `took`.
    pub(crate) fn pause(&self, took: Duration) -> Duration {
        let slowest = if self.report.verdict == Verdict::Refused { SLOWEST_REFUSED } else { SLOWEST };
        let doubled = FIRST.saturating_mul(1 << self.report.tries.saturating_sub(1).min(8));
        let pause = jitter::most_of(doubled.min(slowest));
        pause.saturating_sub(took).max(jitter::most_of(FIRST / 2))
    }

    /// How long an address may take to answer the next look's knock: short where the last ones had no answer at all, as from a
    /// network that is gone; otherwise as long as it takes.
    pub(crate) fn knock(&self) -> Option<Duration> {
        let silent =
            self.report.attempts.iter().all(|attempt| {
                attempt.stage == Stage::Connect && matches!(attempt.reason, Reason::TimedOut(_))
            });
        (silent && !self.report.tries.is_multiple_of(PATIENT_LOOK)).then_some(KNOCK)
    }
}

/// What the attempts of one opening say together: the most hopeful of them.
fn verdict(attempts: &[Attempt]) -> Verdict {
    let of = |wanted: Verdict| attempts.iter().any(|attempt| attempt.reason.verdict() == wanted);
    if of(Verdict::Full) {
        Verdict::Full
    } else if of(Verdict::Refused) && !of(Verdict::Down) {
        Verdict::Refused
    } else {
        Verdict::Down
    }
}
