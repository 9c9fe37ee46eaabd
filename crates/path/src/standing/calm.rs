//! Whether a brief account will do: it does while nothing is found, and nothing in it crosses what a cause would look into
//! that a whole account has not just looked into and found to be nothing. Not in here: asking for either.

use super::Standing;
use crate::diagnose;
use crate::evidence::Evidence;
use crate::sql::facts::{CrowdFacts, SqlFacts};
use pgmedic_model::{Policy, Timestamp};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For so long what a whole account has looked into need not be looked into again.
const LOOKED_INTO_FOR: Duration = Duration::from_secs(5);

/// How many more of something may have come since.
const A_FEW: u64 = 2;

/// So many sessions that began within ten seconds are worth a look.
const MANY_LATELY: u64 = 20;

/// What the warm looks of a service remember of each other.
#[derive(Default)]
pub(super) struct Calm {
    /// The walk or look that was built on last, and whether anything was found in it.
    built_on: Option<(Timestamp, bool)>,
    /// What stood out, while it waits to be looked into; and what was, and found to be nothing.
    asked: Option<Marks>,
    looked_into: Option<(Instant, Marks)>,
}

/// What stands out in a brief account, each only as far as it does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Marks {
    /// Sessions, where they are many for the slots or for a limit.
    taken: u64,
    /// Sessions that rest, where they take a good part of the slots.
    resting: u64,
    /// Sessions that came lately, where they are many.
    lately: u64,
    /// Since when the longest transaction and statement last, where that is for long, in whole seconds of the server's uptime.
    since_s: Option<(u64, u64)>,
    /// Somebody waits for a lock, holds one in a prepared transaction, or writes to a client that does not read.
    urgent: bool,
}

impl Standing {
    fn calm(&self) -> MutexGuard<'_, Calm> {
        self.calm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True where something is found in what a look is built on.
    pub(super) fn wants_all(&self, last: &Evidence) -> bool {
        if let Some((at, found)) = self.calm().built_on
            && at == last.started_at
        {
            return found;
        }
        let found = last.facts().is_none() || !diagnose(last).is_empty();
        self.calm().built_on = Some((last.started_at, found));
        found
    }

    /// True where a brief account shows what a whole one is to look into.
    pub(super) fn stands_out(&self, facts: &SqlFacts, policy: &Policy) -> bool {
        let Some(crowd) = &facts.crowd else { return false };
        let marks = Marks::of(facts, crowd, policy);
        if marks == Marks::default() {
            return false;
        }
        let mut calm = self.calm();
        let known = calm.looked_into.filter(|(at, _)| at.elapsed() < LOOKED_INTO_FOR);
        if known.is_some_and(|(_, known)| marks.are_covered_by(known)) {
            return false;
        }
        calm.asked = Some(marks);
        true
    }

    /// Remembers what a look came to.
    pub(super) fn note(&self, seen: &Evidence) {
        let whole = seen.standing.get().and_then(|r| r.facts()).is_some_and(|f| f.crowd.is_none());
        let asked = self.calm().asked.take();
        if let Some(marks) = asked.filter(|marks| whole && !marks.urgent)
            && diagnose(seen).is_empty()
        {
            self.calm().looked_into = Some((Instant::now(), marks));
        }
    }
}

impl Marks {
    fn of(facts: &SqlFacts, crowd: &CrowdFacts, policy: &Policy) -> Self {
        let a = &facts.admission;
        // Three fifths of the slots, or of a limit: at four fifths there is a finding.
        let many = |used: u64, of: u64| used * 5 >= of * 3;
        let limited = a.role_limits.iter().chain(&a.database_limits);
        let near =
            limited.filter_map(|l| Some((l.used, u64::try_from(l.limit).ok()?))).any(|(n, of)| many(n, of));
        let taken = a.client_backends.saturating_sub(a.own);
        let only = |number: u64, stands_out: bool| if stands_out { number } else { 0 };
        let long = policy.idle_in_transaction_after_ms.min(policy.long_query_after_ms);
        let longest = [crowd.longest_transaction_ms, crowd.longest_statement_ms].map(|ms| ms.unwrap_or(0.0));
        Self {
            taken: only(taken, near || many(taken, a.ordinary())),
            resting: only(crowd.resting, crowd.resting * 5 >= a.ordinary()),
            lately: only(a.started_lately, a.started_lately >= MANY_LATELY),
            since_s: longest.iter().any(|ms| *ms >= long).then(|| {
                let begun = longest.map(|ms| seconds(facts.server.uptime_ms - ms));
                (begun[0], begun[1])
            }),
            urgent: facts.sessions.lock_waiters > 0 || facts.sessions.prepared_total > 0 || crowd.writing > 0,
        }
    }

    fn are_covered_by(self, known: Self) -> bool {
        let covered = |now: u64, then: u64| now <= then + A_FEW || now == 0;
        let same = |a: u64, b: u64| a.abs_diff(b) <= 1;
        let begun = match (self.since_s, known.since_s) {
            (None, _) => true,
            (Some(now), Some(then)) => same(now.0, then.0) && same(now.1, then.1),
            (Some(_), None) => false,
        };
        !self.urgent
            && covered(self.taken, known.taken)
            && covered(self.resting, known.resting)
            && covered(self.lately, known.lately)
            && begun
    }
}

/// Whole seconds; less than none is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn seconds(ms: f64) -> u64 {
    (ms / 1000.0).clamp(0.0, 1e12) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::facts;

    /// A brief account of so many sessions on 97 ordinary slots.
    fn brief(sessions: u64, crowd: CrowdFacts) -> SqlFacts {
        let mut facts = facts();
        facts.admission.client_backends = sessions;
        facts.admission.own = 1;
        facts.crowd = Some(crowd);
        facts
    }

    fn marks(facts: &SqlFacts) -> Marks {
        Marks::of(facts, facts.crowd.as_ref().expect("brief"), &Policy::default())
    }

    #[test]
    fn nothing_stands_out_of_a_quiet_crowd() {
        assert_eq!(marks(&brief(20, CrowdFacts::default())), Marks::default());
        let short =
            CrowdFacts { longest_transaction_ms: Some(59_999.0), resting: 19, ..CrowdFacts::default() };
        assert_eq!(marks(&brief(20, short)), Marks::default());
    }

    #[test]
    fn whatever_a_cause_would_look_into_stands_out() {
        let default = CrowdFacts::default;
        for crowd in [
            CrowdFacts { longest_transaction_ms: Some(60_000.0), ..default() },
            CrowdFacts { longest_statement_ms: Some(300_000.0), ..default() },
            CrowdFacts { resting: 20, ..default() },
            CrowdFacts { writing: 1, ..default() },
        ] {
            assert_ne!(marks(&brief(20, crowd.clone())), Marks::default(), "{crowd:?}");
        }
        assert_ne!(marks(&brief(60, default())), Marks::default());
        let mut waits = brief(20, default());
        waits.sessions.lock_waiters = 1;
        assert!(marks(&waits).urgent);
    }

    #[test]
    fn what_was_looked_into_is_not_looked_into_again_unless_it_grows() {
        let known = marks(&brief(70, CrowdFacts::default()));
        assert!(marks(&brief(72, CrowdFacts::default())).are_covered_by(known));
        assert!(!marks(&brief(73, CrowdFacts::default())).are_covered_by(known));
        let resting = CrowdFacts { resting: 30, ..CrowdFacts::default() };
        assert!(!marks(&brief(70, resting)).are_covered_by(known), "it is something else");
        let mut waits = brief(70, CrowdFacts::default());
        waits.sessions.lock_waiters = 1;
        assert!(!marks(&waits).are_covered_by(known), "waiters are always looked into");
    }
}
