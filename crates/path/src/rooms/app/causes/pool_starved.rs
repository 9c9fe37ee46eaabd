//! `pool-starved`: the API's pool is in use to the last connection, and requests wait.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::slots;
use crate::rooms::app::evidence::PoolMetrics;
use crate::rooms::app::readiness;
use crate::rooms::sessions::ending;
use crate::sql::facts::{SessionView, SqlFacts};
use pgmedic_model::{Confidence, Fact, Finding, Ms, Room, Severity, Source};

/// A statement (or a silence within a transaction) this old, in ms, holds its connection for long; a busy pool's do not.
const HOLDS_MS: f64 = ending::HOLDS_MS;

cause! {
    /// The API's connection pool is used up by slow work, and requests wait for a connection.
    ///
    /// ## What it is
    /// Every connection of the pool is busy in the server: long statements, lock waits, transactions that idle. Requests
    /// queue in the API and time out there, while the server itself may have slots to spare.
    ///
    /// ## What proves it
    /// `pg_pool_waiting` > 0 with `pg_pool_idle` 0, and its sessions are at work in `pg_stat_activity`, some for over a
    /// second; or as many requests wait as the pool is large. A full pool that turns over in milliseconds is not starved.
    ///
    /// ## What mends it
    /// 1. What holds the connections: `lock-pile-up`, `idle-in-transaction`, `long-queries` stand beside this.
    /// 2. Cancel the slow statements (`pg_cancel_backend`); shed load; move reads elsewhere.
    /// 3. Only then a larger pool, within the budget of slots.
    ///
    /// ## What makes it worse
    /// Raising the pool first: the queue moves into Postgres, where it is dearer. Terminating idle sessions: there are none.
    ///
    /// ## What prevents it
    /// `statement_timeout` per role; an acquire timeout shorter than the request's; an alert on `pg_pool_waiting`.
    ///
    /// ## References
    /// Runbook: "Prevention" (`max: 10`, `pg_pool_*`). Postgres manual: `statement_timeout`, `pg_stat_activity`.
    "pool-starved" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let pool = e.app.metrics.get().filter(|m| m.failure.is_none())?;
    let waiting = pool.waiting.filter(|n| *n > 0.0).filter(|_| pool.idle == Some(0.0) && !pool.may_grow())?;
    let (facts, at, place) = e.told()?;
    let busy = busy(e, facts);
    let longest = longest(facts);
    let queue_as_large_as_pool = pool.max.is_some_and(|max| max > 0.0 && waiting >= max);
    if busy == 0 || (longest.is_none() && !queue_as_large_as_pool) {
        return None;
    }
    let critical = readiness::failing(e) || queue_as_large_as_pool;
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    #[expect(clippy::cast_precision_loss, reason = "some hundred sessions")]
    let accounted = pool.in_use.is_some_and(|n| n > 0.0 && busy as f64 >= n);
    let confidence = if accounted { Confidence::Certain } else { Confidence::Likely };
    let oldest = longest.map(|s| format!("; the longest, {}, for {}", ending::named(s), Ms(held(s))));
    let summary = format!(
        "the API's pool is used up{}: {waiting} requests wait, {busy} sessions are at work in the server{}",
        size(pool),
        oldest.unwrap_or_default()
    );
    let gauges = format!("pg_pool_waiting {waiting}, pg_pool_idle 0{}", size(pool));
    let proof = Fact::new(Source::Http, pool.at, pool.url.as_str(), gauges).value(waiting);
    let in_server = format!("{busy} sessions active or in a transaction");
    let in_server = Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), in_server).value(busy);
    let free = slots::count(e).into_iter().flat_map(|s| s.facts(e).into_iter().take(1));
    let finding =
        Finding::new(CAUSE.id, Room::App, severity, confidence, summary, proof).and(in_server).and_all(free);
    Some(ending::cancel_slow(e).into_iter().chain([slots::look(e)]).fold(finding, Finding::mended_by))
}

/// `, 10 of 10 in use`, as far as the metrics say.
fn size(pool: &PoolMetrics) -> String {
    match (pool.in_use, pool.max) {
        (Some(in_use), Some(max)) => format!(", {in_use} of {max} in use"),
        (Some(in_use), None) => format!(", {in_use} in use"),
        _ => String::new(),
    }
}

/// Sessions of the service's role that are active or in a transaction; of any role, where that one has none.
fn busy(e: &Evidence, facts: &SqlFacts) -> u64 {
    let at_work =
        |state: Option<&str>| state.is_some_and(|s| s == "active" || s.starts_with("idle in transaction"));
    let count = |role: Option<&str>| -> u64 {
        let groups = facts.admission.groups.iter().filter(|g| at_work(g.state.as_deref()));
        groups.filter(|g| role.is_none_or(|r| g.role == r)).map(|g| g.count).sum()
    };
    match count(Some(&e.target.user)) {
        0 => count(None),
        own => own,
    }
}

/// Who has held a connection longest, where that is long.
fn longest(facts: &SqlFacts) -> Option<&SessionView> {
    let clients = facts.sessions.sessions.iter().filter(|s| !ending::is_upkeep(&s.application));
    clients.filter(|s| held(s) >= HOLDS_MS).max_by(|a, b| held(a).total_cmp(&held(b)))
}

/// How long a session has been at one statement, or silent within a transaction, in ms.
fn held(s: &SessionView) -> f64 {
    match s.state.as_deref() {
        Some("active") => s.query_ms.unwrap_or(0.0),
        Some(state) if state.starts_with("idle in transaction") => s.state_ms.unwrap_or(0.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy, with_facts};
    use crate::rooms::sessions::ending::tests::session_of;
    use crate::sql::facts::SessionGroup;

    fn pool(waiting: f64, longest_ms: f64) -> Evidence {
        let mut e = with_facts(|f| {
            let (role, state) = ("app".to_owned(), Some("active".to_owned()));
            f.admission.groups = vec![SessionGroup { role, state, count: 10, ..SessionGroup::default() }];
            f.sessions.sessions = vec![session_of(7, "active", longest_ms)];
        });
        e.app.metrics = Seen::Seen(PoolMetrics {
            at: AT,
            max: Some(10.0),
            idle: Some(0.0),
            in_use: Some(10.0),
            waiting: Some(waiting),
            ..PoolMetrics::default()
        });
        e
    }

    #[test]
    fn pool_starved_by_slow_statements() {
        let found = find(&pool(3.0, 4_200.0)).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(
            found.summary,
            "the API's pool is used up, 10 of 10 in use: 3 requests wait, 10 sessions are at work in the server; the \
             longest, pid 7 (renderflow-api as app), for 4.2 s"
        );
        assert!(found.remedies[0].command.contains("pg_cancel_backend(pid)"));
        assert_eq!(find(&pool(10.0, 4_200.0)).unwrap().severity, Severity::Critical);
    }

    #[test]
    fn pool_starved_is_mended_by_cancelling_each_slow_statement() {
        let mut e = pool(10.0, 4_200.0);
        if let Some(query) = &mut e.front.query
            && let crate::evidence::QueryOutcome::Answered(facts) = &mut query.outcome
        {
            let more = [(8, 2_000.0), (9, 20.0)].map(|(pid, ms)| session_of(pid, "active", ms));
            facts.sessions.sessions.extend(more);
            let other = session_of(10, "active", 2_400_000.0);
            facts.sessions.sessions.push(SessionView { role: "etl".into(), ..other });
        }
        let Some(pgmedic_model::Action::Cancel { sessions }) = &find(&e).unwrap().remedies[0].action else {
            panic!("a cancel")
        };
        assert_eq!(
            sessions.iter().map(|s| s.pid).collect::<Vec<_>>(),
            [7, 8],
            "the quick one goes on, and so does another role's"
        );
    }

    #[test]
    fn pool_starved_is_not_a_busy_pool_that_turns_over() {
        assert!(find(&pool(3.0, 20.0)).is_none());
        assert!(find(&pool(0.0, 4_200.0)).is_none());
        let mut growing = pool(3.0, 4_200.0);
        if let Seen::Seen(gauges) = &mut growing.app.metrics {
            gauges.in_use = Some(9.0);
        }
        assert!(find(&growing).is_none(), "they wait for a connection to be opened");
        assert!(find(&healthy()).is_none());
    }
}
