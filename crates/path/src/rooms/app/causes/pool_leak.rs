//! `pool-leak`: the API's connections are checked out and not used.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::evidence::{LogPattern, PoolMetrics};
use crate::rooms::app::readiness;
use crate::rooms::proxy::silence::by_a_pooler;
use crate::rooms::sessions::ending;
use crate::rooms::sessions::ghosts::ghosts;
use crate::sql::facts::{SessionView, SqlFacts};
use pgmedic_model::{Action, Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// A pool in front of which requests wait uses a connection again within milliseconds. One that has been still for this
/// long, in ms, is not in the pool.
const STILL_MS: f64 = 1_000.0;

cause! {
    /// The API's connections are checked out of its pool and not used, while requests wait for one.
    ///
    /// ## What it is
    /// Some path through the code takes a connection and does not give it back: an error in between, a handle that is kept,
    /// a transaction that is never ended. Each time one is lost, until the pool is empty for good; it grows with uptime. A
    /// request that holds its connection while it waits for something else (an HTTP call, a queue) looks the same while it
    /// lasts.
    ///
    /// ## What proves it
    /// `pg_pool_waiting` > 0 with `pg_pool_idle` 0 (or a readiness that fails with the pool's time-out), while the server sees those
    /// sessions `idle`, or `idle in transaction`, with an old `state_change`, often after the same statement. In
    /// `pool-starved` they are at work.
    ///
    /// ## What mends it
    /// 1. Restart one instance, see that its requests are served, then the others.
    /// 2. Look for the last statement below in the code: who runs it and does not give the connection back?
    /// 3. Roll the last release back, if it began there.
    ///
    /// ## What makes it worse
    /// Terminating the idle sessions: some pools go on counting them as checked out. A larger pool: it only lasts longer.
    ///
    /// ## What prevents it
    /// Connections that return themselves at the end of a scope; leak detection (HikariCP `leakDetectionThreshold`, sqlx
    /// `acquire_slow_threshold`); `idle_in_transaction_session_timeout`; an alert on `pg_pool_waiting`.
    ///
    /// ## References
    /// Runbook: "Prevention" (`pg_pool_*`). Postgres manual: `pg_stat_activity` (`state`, `state_change`).
    "pool-leak" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let want = want(e)?;
    let (facts, at, place) = e.told()?;
    // What a pooler's server connections do says nothing of its clients.
    if by_a_pooler(e).is_some() {
        return None;
    }
    let still = still(e, facts);
    let (count, at_work) = (still.len() as u64, at_work(e, facts));
    let out = want.in_use.unwrap_or(count.max(2));
    if count < 2 || at_work * 2 >= out || count * 2 < out {
        return None;
    }
    let longest = still.iter().copied().max_by(|a, b| silent_ms(a).total_cmp(&silent_ms(b)))?;
    let in_transaction = still.iter().filter(|s| ending::is_idle_in_transaction(s)).count();
    let accounted = want.in_use.is_some_and(|n| count >= n) && silent_ms(longest) >= e.policy.idle_after_ms;
    let confidence = if accounted { Confidence::Certain } else { Confidence::Likely };
    let critical = readiness::failing(e) || want.all_wait;
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "the API's pool has given all its connections out, and {count} of them are not used{}: the longest, {}, for {}",
        if in_transaction > 0 { format!(" ({in_transaction} in a transaction)") } else { String::new() },
        ending::named(longest),
        Ms(silent_ms(longest))
    );
    let mut finding = Finding::new(CAUSE.id, Room::App, severity, confidence, summary, want.fact)
        .and(seen(at, place, count, &still))
        .mended_by(restart());
    if confidence != Confidence::Certain {
        finding = finding.or_else(
            "api-holds-stale-state",
            "whether the same sessions are still unused in a minute: what is not leaked has come back by then",
        );
    }
    Some(finding)
}

/// How it is known that requests wait for a connection.
struct Want {
    fact: Fact,
    /// Connections that are given out, where the metrics tell.
    in_use: Option<u64>,
    /// As many requests wait as the pool is large.
    all_wait: bool,
}

fn want(e: &Evidence) -> Option<Want> {
    let told = readiness::told(e).filter(|t| t.failing() && t.about_the_database());
    let meaning = told.as_ref().and_then(|t| t.meaning());
    // An API that was told something else, by whatever it asked for a connection, had room for one in its pool.
    if meaning.is_some_and(|m| !matches!(m, LogPattern::PoolTimeout | LogPattern::ConnectTimeout)) {
        return None;
    }
    if let Some(pool) = e.app.metrics.get().filter(|m| m.failure.is_none() && m.waiting.is_some()) {
        return by_metrics(pool);
    }
    // A line of the log alone may be of a minute that is over.
    let fact = match meaning {
        Some(LogPattern::PoolTimeout) => told?.fact(),
        Some(_) => return None,
        None => told.and_then(|_| readiness::logged(e, LogPattern::PoolTimeout))?.1,
    };
    Some(Want { fact, in_use: None, all_wait: false })
}

fn by_metrics(pool: &PoolMetrics) -> Option<Want> {
    let waiting = pool.waiting.filter(|n| *n > 0.0).filter(|_| pool.idle == Some(0.0))?;
    let out = pool.in_use.filter(|n| *n > 0.0).filter(|_| !pool.may_grow())?;
    let gauges = format!("pg_pool_waiting {waiting}, pg_pool_idle 0, pg_pool_in_use {out}");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a pool's size")]
    let in_use = Some(out as u64);
    Some(Want {
        fact: Fact::new(Source::Http, pool.at, pool.url.as_str(), gauges).value(waiting),
        in_use,
        all_wait: pool.max.is_some_and(|max| max > 0.0 && waiting >= max),
    })
}

/// Sessions of the service's role that have done nothing for long, in a transaction or not. One whose client is gone is
/// in no pool that asks for more.
fn still<'a>(e: &'a Evidence, facts: &'a SqlFacts) -> Vec<&'a SessionView> {
    let gone: Vec<i32> = ghosts(e).into_iter().map(|s| s.pid).collect();
    let idles = |s: &SessionView| s.state.as_deref() == Some("idle") || ending::is_idle_in_transaction(s);
    let own = |s: &&SessionView| {
        s.role == e.target.user && !ending::is_upkeep(&s.application) && !gone.contains(&s.pid)
    };
    facts.sessions.sessions.iter().filter(own).filter(|s| idles(s) && silent_ms(s) >= STILL_MS).collect()
}

fn silent_ms(s: &SessionView) -> f64 {
    s.state_ms.unwrap_or(0.0)
}

/// Sessions of the service's role that are at a statement.
fn at_work(e: &Evidence, facts: &SqlFacts) -> u64 {
    let active = facts.admission.groups.iter().filter(|g| g.state.as_deref() == Some("active"));
    active.filter(|g| g.role == e.target.user && !ending::is_upkeep(&g.application)).map(|g| g.count).sum()
}

/// What the server sees, with the statement that most of them ended with.
fn seen(at: pgmedic_model::Timestamp, place: &str, count: u64, still: &[&SessionView]) -> Fact {
    let alike = |s: &SessionView| still.iter().filter(|o| o.query == s.query).count();
    let last = still.iter().max_by_key(|s| alike(s)).map(|s| (alike(s), s.query.to_string()));
    let after = last.filter(|(_, query)| !query.is_empty());
    let after = after.map_or_else(String::new, |(n, query)| format!("; {n} of them after: {query}"));
    let said = format!("{count} sessions have done nothing for over {}{after}", Ms(STILL_MS));
    Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said).value(count)
}

fn restart() -> RemedyPlan {
    RemedyPlan::by_hand(
        "recycle-api-pool",
        RemedyKind::AppRestart,
        "restart one instance of the API and see its requests served before the next; then find who keeps the connections",
        "select pid, client_addr, state, now() - state_change as unused, left(query, 80) from pg_stat_activity where state \
         like 'idle%' order by state_change;   -- before and after",
    ).doing(Action::RestartApi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy, with_facts};
    use crate::rooms::app::causes::api_not_initialised::tests::{log_line, not_ready};
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use crate::rooms::sessions::causes::ghost_sessions::tests::haunted;
    use crate::rooms::sessions::ending::tests::session_of;
    use crate::sql::facts::SessionGroup;
    use pgmedic_model::MaskedSql;

    /// So many sessions that have been in a state for so long, and so many at work.
    fn sessions(state: &str, still: u16, ms: f64, active: u64) -> Evidence {
        with_facts(|f| {
            let query = MaskedSql::new("select id from jobs where id = 7");
            let one = |n: u16| SessionView {
                query: query.clone(),
                client: "10.0.0.9".to_owned(),
                client_port: Some(40_000 + n),
                ..session_of(i32::from(n), state, ms)
            };
            f.sessions.sessions = (0..still).map(one).collect();
            let (role, state) = ("app".to_owned(), Some("active".to_owned()));
            f.admission.groups = vec![SessionGroup { role, state, count: active, ..SessionGroup::default() }];
        })
    }

    fn waiting(mut e: Evidence, waiting: f64) -> Evidence {
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
    fn pool_leak_is_a_pool_given_out_and_not_used() {
        let found = find(&waiting(sessions("idle", 10, 900_000.0, 0), 3.0)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert!(found.summary.contains("10 of them are not used: the longest, pid "), "{}", found.summary);
        assert!(
            found.evidence[1].fact.ends_with("10 of them after: select id from jobs where id = ?"),
            "{}",
            found.evidence[1].fact
        );
        let soon = find(&waiting(sessions("idle", 10, 5_000.0, 0), 12.0)).expect("found");
        assert_eq!((soon.severity, soon.confidence), (Severity::Critical, Confidence::Likely));
        assert_eq!(soon.alternatives[0].cause, "api-holds-stale-state");
        let open = find(&waiting(sessions("idle in transaction", 10, 900_000.0, 0), 3.0)).expect("found");
        assert!(open.summary.contains("not used (10 in a transaction)"));
    }

    #[test]
    fn pool_leak_not_where_the_connections_work_or_nobody_waits() {
        assert!(find(&waiting(sessions("idle", 10, 900_000.0, 0), 0.0)).is_none());
        assert!(find(&waiting(sessions("idle", 10, 40.0, 0), 3.0)).is_none(), "they come and go");
        assert!(find(&waiting(sessions("idle", 10, 900_000.0, 10), 3.0)).is_none(), "another instance idles");
        assert!(find(&sessions("idle", 10, 900_000.0, 0)).is_none(), "a pool at rest");
        assert!(find(&healthy()).is_none());
        let mut growing = waiting(sessions("idle", 97, 900_000.0, 0), 1.0);
        if let Seen::Seen(pool) = &mut growing.app.metrics {
            pool.in_use = Some(1.0);
        }
        assert!(find(&growing).is_none(), "it waits for a connection to be opened");
        let mut full = waiting(sessions("idle", 97, 900_000.0, 0), 12.0);
        ready_says(&mut full, not_ready("FATAL 53300: remaining connection slots are reserved"));
        assert!(find(&full).is_none(), "it had room for the connection that it was refused");
        let mut pooled = waiting(sessions("idle", 10, 900_000.0, 0), 3.0);
        pooled.front.startup.as_mut().expect("startup").pooler = Some("it says so".into());
        assert!(find(&pooled).is_none());
    }

    #[test]
    fn pool_leak_is_not_of_sessions_whose_clients_are_gone() {
        let mut e = waiting(sessions("idle", 10, 900_000.0, 0), 3.0);
        assert!(find(&e).is_some());
        haunted(&mut e, 10);
        assert!(find(&e).is_none());
    }

    #[test]
    fn pool_leak_may_be_known_by_the_apis_own_words() {
        let mut e = sessions("idle", 10, 900_000.0, 0);
        ready_says(&mut e, not_ready("pool timed out while waiting for an open connection"));
        let found = crate::diagnose(&e);
        assert_eq!(found[0].cause, CAUSE.id);
        let others: Vec<_> = found[1..].iter().map(|f| (f.cause.as_str(), f.role)).collect();
        use pgmedic_model::Role::Symptom;
        assert_eq!(others, [("readiness-failing", Symptom), ("api-holds-stale-state", Symptom)]);
        let mut e = sessions("idle", 10, 900_000.0, 0);
        log_line(&mut e, LogPattern::PoolTimeout, "pool timed out while waiting for an open connection");
        assert!(find(&e).is_none(), "readiness does not say that it lasts");
        ready_says(&mut e, answered(503, "disconnected"));
        assert_eq!(find(&e).expect("found").confidence, Confidence::Likely);
    }
}
