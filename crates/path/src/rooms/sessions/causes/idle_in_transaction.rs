//! `idle-in-transaction`: clients hold transactions open and do nothing in them.

use super::lock_pile_up::is_pile;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql};
use crate::rooms::sessions::ending::{self, named};
use crate::rooms::sessions::waits;
use crate::sql::facts::SessionView;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// Many are many from this share of the ordinary slots on, each idle in its transaction for at least so long, in ms.
const MANY_PART: u64 = 5;
const MANY_AFTER_MS: f64 = 5_000.0;

cause! {
    /// Sessions sit idle inside of an open transaction.
    ///
    /// ## What it is
    /// A client began a transaction and stopped talking: it waits for another service, forgot the commit, or is gone
    /// without a FIN. Its locks stay, its slot stays, and VACUUM cannot remove what died since it began.
    ///
    /// ## What proves it
    /// `state like 'idle in transaction%'` with an old `state_change`: older than policy `idle_in_transaction_after`;
    /// or younger, but others wait for its locks now; or a fifth of the ordinary slots are in this state for over 5 s.
    ///
    /// ## What mends it
    /// Terminate the *blocking* one alone: `pg_terminate_backend`; a cancel has no effect on a session that runs
    /// nothing. Then mend the client: commit or roll back on every path, no remote calls within a transaction.
    ///
    /// ## What makes it worse
    /// Ending a migration in flight or a coordinator of two-phase commits: ask whose it is. Ending all of them at once
    /// hides which code path leaks.
    ///
    /// ## What prevents it
    /// `alter role x set idle_in_transaction_session_timeout = '60s'` (it ends them with 25P03);
    /// `transaction_timeout` (17+); keepalives that notice a client which is gone.
    ///
    /// ## References
    /// Postgres manual: "Client Connection Defaults" (`idle_in_transaction_session_timeout`), `pg_stat_activity`.
    "idle-in-transaction" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let mut idle: Vec<_> =
        facts.sessions.sessions.iter().filter(|s| ending::is_idle_in_transaction(s)).collect();
    idle.sort_by(|a, b| age(b).total_cmp(&age(a)));
    let after = e.policy.idle_in_transaction_after_ms;
    let old: Vec<_> = idle.iter().filter(|s| age(s) > after && !ending::is_upkeep(&s.application)).collect();
    let many = idle.iter().filter(|s| age(s) > MANY_AFTER_MS).count() as u64;
    let too_many = many > 1 && many * MANY_PART >= facts.admission.ordinary();
    let trees = waits::trees(facts, false);
    let blocker = trees
        .iter()
        .filter(|t| t.stands_still() && !is_pile(facts, t))
        .find_map(|t| t.session.filter(|s| ending::is_idle_in_transaction(s)).map(|s| (s, t.waiters.len())));
    let (worst, summary) = match (blocker, old.first()) {
        (Some((s, n)), _) => {
            (s, format!("{} is idle in transaction for {} and blocks {n}", named(s), Ms(age(s))))
        }
        (None, Some(s)) if old.len() == 1 => {
            (**s, format!("{} is idle in transaction for {}", named(s), Ms(age(s))))
        }
        (None, Some(s)) => {
            let text = format!("{} sessions are idle in transaction for over {}", old.len(), Ms(after));
            (**s, format!("{text}; the longest, {}, for {}", named(s), Ms(age(s))))
        }
        (None, None) if too_many => {
            let of = facts.admission.ordinary();
            (*idle.first()?, format!("{many} of {of} ordinary slots are idle in transaction for over 5 s"))
        }
        (None, None) => return None,
    };
    let holds = worst.holds.as_deref().map(|held| format!("; holds {held}")).unwrap_or_default();
    let opened = worst.xact_ms.map(|ms| format!("; transaction open for {}", Ms(ms))).unwrap_or_default();
    let text = format!(
        "{} is {} for {}{opened}{holds}; last query: {}",
        named(worst),
        worst.state.as_deref().unwrap_or_default(),
        Ms(age(worst)),
        worst.query
    );
    let proof = Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), text).value(age(worst));
    let finding =
        Finding::new(CAUSE.id, Room::Sessions, Severity::Warning, Confidence::Certain, summary, proof);
    let terminate = ending::terminate_idle_in_transaction(e, worst, "terminate-idle-in-transaction");
    Some(finding.mended_by(terminate).mended_by(bound(e, worst)))
}

fn age(s: &SessionView) -> f64 {
    s.state_ms.unwrap_or(0.0)
}

fn bound(e: &Evidence, s: &SessionView) -> RemedyPlan {
    let sql = format!("alter role {} set idle_in_transaction_session_timeout = '60s'", identifier(&s.role));
    RemedyPlan::by_hand(
        "bound-idle-transactions",
        RemedyKind::Settings,
        "let the server end such sessions by itself, for this role and its new sessions",
        psql(e, &sql),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;
    use crate::rooms::sessions::ending::tests::session_of;
    use crate::rooms::sessions::waits::tests::wait;

    fn idle_for(ms: f64, count: i32) -> Option<Finding> {
        find(&with_facts(|f| {
            f.sessions.sessions = (1..=count).map(|pid| session_of(pid, "idle in transaction", ms)).collect();
        }))
    }

    #[test]
    fn idle_in_transaction_for_longer_than_the_policy_says() {
        assert!(idle_for(59_000.0, 3).is_none());
        let found = idle_for(240_000.0, 1).unwrap();
        assert_eq!(found.summary, "pid 1 (renderflow-api as app) is idle in transaction for 4 min");
        assert!(found.remedies[0].command.contains("state like 'idle in transaction%'"));
        assert!(idle_for(240_000.0, 2).unwrap().summary.starts_with("2 sessions are idle in transaction"));
    }

    #[test]
    fn idle_in_transaction_in_a_fifth_of_the_slots() {
        assert!(idle_for(6_000.0, 19).is_none());
        assert!(idle_for(6_000.0, 20).unwrap().summary.starts_with("20 of 97 ordinary slots"));
        assert!(
            idle_for(3.0, 60).is_none(),
            "a load generator's sessions are in this state for milliseconds"
        );
    }

    #[test]
    fn idle_in_transaction_that_blocks_is_found_before_its_time() {
        let blocking = |ms: f64| {
            find(&with_facts(|f| {
                f.sessions.sessions.push(session_of(9, "idle in transaction", ms));
                wait(f, 2, "transactionid", ms, &[9]);
            }))
        };
        assert!(blocking(8.0).is_none());
        assert!(blocking(4_000.0).unwrap().summary.ends_with("for 4.0 s and blocks 1"));
    }
}
