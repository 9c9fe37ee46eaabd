//! `long-queries`: statements run for so long that others run out of connections.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::slots;
use crate::rooms::sessions::ending::{self, LONG_UNDER_STRAIN_MS, is_work, named};
use crate::rooms::sessions::strain;
use crate::sql::facts::SessionView;
use pgmedic_model::{Confidence, Fact, Finding, Ms, Room, Severity, Source};

cause! {
    /// Statements run for very long, each holding its connection.
    ///
    /// ## What it is
    /// A missing index, a plan that changed, a report on the primary: each long statement keeps a connection of the
    /// API's pool (and a slot) for its time, and the requests behind it find the pool empty.
    ///
    /// ## What proves it
    /// `state = 'active'` with an old `query_start`: older than policy `long_query_after`; older than 2 s where
    /// somebody is kept waiting now (readiness fails, the pool or the pooler has a queue, four fifths of the slots are
    /// taken). A statement of another role than the service's own is then only possibly in the way, unless the slots are
    /// short: it has no connection of the API's pool. Sessions that wait for a lock or for a synchronous standby, dumps
    /// and base backups do not count.
    ///
    /// ## What mends it
    /// Cancel it (`pg_cancel_backend`): the session lives on. Terminate only what does not heed the cancel. Then find
    /// the plan: `explain (analyze, buffers)` on a copy, `analyze` of the table after a bulk load.
    ///
    /// ## What makes it worse
    /// Raising the pool's size: the queue moves into Postgres. Ending a dump or a base backup. Terminating *idle*
    /// sessions: none of them is in the way.
    ///
    /// ## What prevents it
    /// `statement_timeout` per role (`alter role x set statement_timeout = '30s'`); reports on a standby.
    ///
    /// ## References
    /// Postgres manual: "Client Connection Defaults" (`statement_timeout`), "Server Signaling Functions".
    "long-queries" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (_, at, place) = e.told()?;
    let signs = strain::signs(e);
    let after = after(e);
    let long = long(e);
    let worst = *long.first()?;
    let others = match long.len() {
        1 => String::new(),
        n => format!(", and {} more over {}", n - 1, Ms(after)),
    };
    let why = signs.first().map(|sign| format!("; meanwhile {sign}")).unwrap_or_default();
    let summary =
        format!("{} has been running one statement for {}{others}{why}", named(worst), Ms(age(worst)));
    let cite = |s: &&SessionView| {
        let text = format!("{} active for {}: {}", named(s), Ms(age(s)), s.query);
        Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), text).value(age(s))
    };
    let mut cited = long.iter().take(3).map(cite);
    let proof = cited.next()?;
    let confidence = if in_the_way(e, worst) { Confidence::Certain } else { Confidence::Possible };
    let finding =
        Finding::new(CAUSE.id, Room::Sessions, Severity::Warning, confidence, summary, proof).and_all(cited);
    let plan =
        format!("cancel {} statement(s) running for over {}; the sessions live on", long.len(), Ms(after));
    Some(ending::cancel_long(e, &long, &plan).into_iter().fold(finding, Finding::mended_by))
}

fn age(s: &SessionView) -> f64 {
    s.query_ms.unwrap_or(0.0)
}

/// From which age on a statement is long: sooner where something shows that it is in the way.
fn after(e: &Evidence) -> f64 {
    let policy = e.policy.long_query_after_ms;
    if strain::signs(e).is_empty() { policy } else { policy.min(LONG_UNDER_STRAIN_MS) }
}

/// Whether one that is long is in the way for sure: long by the policy, or one of those that who waits is waiting for.
fn in_the_way(e: &Evidence, s: &SessionView) -> bool {
    age(s) > e.policy.long_query_after_ms
        || s.role == e.target.user
        || slots::count(e).is_some_and(|slots| slots.short())
}

/// The sessions whose statement is long, the longest first: those that are in the way, or else all that may be.
pub(crate) fn long(e: &Evidence) -> Vec<&SessionView> {
    let after = after(e);
    let sessions = e.facts().into_iter().flat_map(|facts| &facts.sessions.sessions);
    let mut long: Vec<_> = sessions.filter(|s| is_work(s) && age(s) > after).collect();
    long.sort_by(|a, b| age(b).total_cmp(&age(a)));
    if long.iter().any(|s| in_the_way(e, s)) {
        long.retain(|s| in_the_way(e, s));
    }
    long
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use crate::rooms::sessions::ending::tests::session_of;

    fn running(ms: f64) -> Evidence {
        with_facts(|f| {
            let mut waiter = session_of(3, "active", 900_000.0);
            waiter.wait_event_type = Some("Lock".into());
            let mut dump = session_of(4, "active", 900_000.0);
            dump.application = "pg_dump".into();
            f.sessions.sessions =
                vec![session_of(1, "active", ms), session_of(2, "active", ms / 2.0), waiter, dump];
        })
    }

    #[test]
    fn long_queries_are_long_by_policy() {
        assert!(find(&running(299_000.0)).is_none());
        let found = find(&running(400_000.0)).unwrap();
        assert_eq!(found.summary, "pid 1 (renderflow-api as app) has been running one statement for 7 min");
        assert!(found.remedies[0].command.contains("pg_cancel_backend(pid)"));
        assert!(!found.remedies[0].command.contains("(4, "));
    }

    #[test]
    fn long_queries_of_another_role_are_only_possibly_in_the_way_of_an_api_that_fails() {
        let of = |sessions: &[(&str, f64)]| {
            let one = |(pid, (role, ms)): (i32, &(&str, f64))| {
                let mut session = session_of(pid, "active", *ms);
                (*role).clone_into(&mut session.role);
                session
            };
            let mut e = with_facts(|f| f.sessions.sessions = (1..).zip(sessions).map(one).collect());
            ready_says(&mut e, answered(503, "disconnected"));
            find(&e).unwrap()
        };
        // Possible: so that nothing is cancelled for it.
        assert_eq!(of(&[("report", 5_000.0)]).confidence, Confidence::Possible);
        assert_eq!(of(&[("report", 400_000.0)]).confidence, Confidence::Certain, "long by the policy");
        let both = of(&[("report", 5_000.0), ("app", 4_000.0)]);
        assert_eq!(both.confidence, Confidence::Certain, "the service's own");
        assert!(both.summary.starts_with("pid 2 "), "{}", both.summary);
        assert!(!both.remedies[0].command.contains("(1, "), "{}", both.remedies[0].command);
    }

    #[test]
    fn long_queries_are_none_that_wait_for_a_synchronous_standby() {
        let mut waiting = session_of(1, "active", 400_000.0);
        (waiting.wait_event_type, waiting.wait_event) = (Some("IPC".into()), Some("SyncRep".into()));
        assert!(find(&with_facts(|f| f.sessions.sessions = vec![waiting])).is_none());
    }

    #[test]
    fn long_queries_are_long_sooner_while_the_api_waits() {
        let mut e = running(5_000.0);
        assert!(find(&e).is_none());
        ready_says(&mut e, answered(503, "disconnected"));
        let found = find(&e).unwrap();
        assert_eq!(
            found.summary,
            "pid 1 (renderflow-api as app) has been running one statement for 5.0 s, and 1 more over 2.0 s; meanwhile \
             the API's readiness fails"
        );
    }
}
