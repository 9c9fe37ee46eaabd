//! `pooler-pool-exhausted`: every server connection of a pool is in use and clients queue.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::evidence::{PoolRow, PoolerEvidence};
use crate::rooms::proxy::{log, silence};
use crate::rooms::sessions::ending;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// Every server connection of the PgBouncer pool is in use, and clients wait in its queue.
    ///
    /// ## What it is
    /// A pool (one for each database and user) has `pool_size` server connections. When all are held, by long queries, by
    /// transactions left open or by session pooling, newcomers log in all right and their first query waits, up to
    /// `query_wait_timeout` (120 s by default).
    ///
    /// ## What proves it
    /// `SHOW POOLS` has `cl_waiting > 0` with `sv_idle = 0` and `maxwait` rising; or a client gets `query_wait_timeout`
    /// (08P01). The pool of the *API's* user counts: a monitor of another user walks through another pool.
    ///
    /// ## What mends it
    /// End what holds the server connections: cancel the long query, terminate the transaction that idles. Then raise
    /// `pool_size` within what the server has slots for, or set `reserve_pool_size`.
    ///
    /// ## What makes it worse
    /// Raising `max_client_conn`: it only makes the queue longer.
    ///
    /// ## What prevents it
    /// Transaction pooling; `query_timeout` and `idle_transaction_timeout`; pool sizes reckoned from the slots.
    ///
    /// ## References
    /// PgBouncer manual: SHOW POOLS, `query_wait_timeout`, `reserve_pool_size`.
    "pooler-pool-exhausted" in Proxy, proved by Proof::Drill;
}

/// A queue that has stood for this long is a queue, not a moment's crowd.
const QUEUED_S: f64 = 1.0;

fn find(e: &Evidence) -> Option<Finding> {
    // At the login it is no full pool: PgBouncer has none of its server's words to welcome a client with.
    let timed_out = e.front.late_refusal().filter(|r| says(&r.message, Words::QueryWaitTimeout));
    let silent = silence::after_the_login(&e.front);
    let full = e.pooler.get().and_then(|p| Some((p, full_pool(e, p, silent.is_some())?)));
    let (proof, summary, confidence, facts) = match (full, timed_out, silent) {
        (Some((pooler, row)), _, silent) => {
            let summary = format!(
                "PgBouncer's pool {}/{} is exhausted: {} server connections in use, {} clients wait, the first for {:.0} s",
                row.database, row.user, row.sv_active, row.cl_waiting, row.maxwait_s
            );
            let facts: Vec<_> = silent.map(|s| silence::fact(&e.front, s)).into_iter().collect();
            (console::pool_fact(pooler, row), summary, Confidence::Certain, facts)
        }
        (None, _, _) if console::no_server_connection(e).is_some() => return None,
        (None, _, _) if log::upstream_failure(e).is_some() => return None,
        (None, Some(error), _) => {
            let summary = "PgBouncer let its client wait in vain: no server connection came free".to_owned();
            (console::refusal_fact(&e.front, error), summary, Confidence::Likely, vec![])
        }
        (None, None, Some(silent)) if behind_a_pooler(e) && !console::paused(e) => {
            let summary = "PgBouncer logs in, and the first query finds no server connection".to_owned();
            let works: Vec<_> = silence::direct_works(e).into_iter().collect();
            let confidence = if works.is_empty() { Confidence::Possible } else { Confidence::Likely };
            (silence::fact(&e.front, silent), summary, confidence, works)
        }
        _ => return None,
    };
    let mut finding =
        Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, confidence, summary, proof).and_all(facts);
    if confidence != Confidence::Certain {
        finding = finding
            .or_else("pooler-paused", "`SHOW DATABASES` on the console (configure `pooler`)")
            .or_else(
                "pooler-upstream-failing",
                "`SHOW POOLS` on the console: no server connections at all; PgBouncer's log, or a walk around it (`direct`)",
            );
    }
    if confidence == Confidence::Possible {
        finding = finding.or_else("server-hung", "a walk around the pooler (configure `direct`)");
    }
    let command = e.pooler.get().map_or_else(
        || "SHOW POOLS; SHOW SERVERS;   -- on PgBouncer's admin console".to_owned(),
        |p| console::command(p, "SHOW SERVERS"),
    );
    let slow = ending::cancel_slow(e);
    let look = RemedyPlan::by_hand(
        "free-pooled-connections",
        RemedyKind::Advice,
        "see what holds the server connections; cancel the long query or end the idle transaction on the server",
        command,
    );
    Some(slow.into_iter().chain([look]).fold(finding, Finding::mended_by))
}

/// Known to walk through a PgBouncer: by its words, or because its console is configured.
fn behind_a_pooler(e: &Evidence) -> bool {
    e.pooler.get().is_some() || silence::by_a_pooler(e).is_some()
}

/// The pool whose queue stands: the target's own first, then the worst of its database.
fn full_pool<'a>(e: &Evidence, pooler: &'a PoolerEvidence, walk_waits: bool) -> Option<&'a PoolRow> {
    let stands = |row: &&PoolRow| {
        // The console may have been read a moment before this walk itself came to stand in the queue.
        let queue = row.cl_waiting > 0 && (row.maxwait_s >= QUEUED_S || walk_waits)
            || walk_waits && row.sv_active >= pool_size(pooler, row);
        let busy = row.sv_idle == 0 && row.sv_used == 0 && row.sv_active > 0;
        row.database == e.target.database && queue && busy && !console::paused(e)
    };
    let mine = pooler.pools.iter().filter(stands).find(|row| row.user == e.target.user);
    mine.or_else(|| pooler.pools.iter().filter(stands).max_by(|a, b| a.maxwait_s.total_cmp(&b.maxwait_s)))
}

/// The size of a pool: its database's, else the default.
fn pool_size(pooler: &PoolerEvidence, row: &PoolRow) -> u64 {
    let database = pooler.databases.iter().find(|d| d.name == row.database);
    database.map(|d| d.pool_size).or(pooler.default_pool_size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::QueryOutcome;
    use crate::evidence::fixture::{healthy, late, refused, window};
    use crate::platform::evidence::ProcessView;
    use crate::rooms::proxy::causes::console::fixture::with_pool;

    #[test]
    fn pooler_pool_exhausted_is_read_from_the_console() {
        let full = |row: &mut PoolRow| (row.cl_waiting, row.sv_active, row.maxwait_s) = (7, 2, 12.0);
        let found = find(&with_pool(full)).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.contains("2 server connections in use, 7 clients wait, the first for 12 s"));
    }

    #[test]
    fn pooler_pool_exhausted_needs_a_standing_queue() {
        assert!(
            find(&with_pool(|row| (row.cl_waiting, row.sv_active, row.maxwait_s) = (1, 2, 0.02))).is_none()
        );
        assert!(find(&with_pool(|row| (row.cl_waiting, row.sv_active, row.sv_idle) = (0, 2, 0))).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn pooler_pool_exhausted_may_have_nobody_waiting_but_the_walk() {
        let mut e = with_pool(|row| row.sv_active = 2);
        if let crate::evidence::Seen::Seen(pooler) = &mut e.pooler {
            pooler.default_pool_size = Some(2);
        }
        assert!(find(&e).is_none());
        if let Some(query) = &mut e.front.query {
            query.outcome = QueryOutcome::Silent;
        }
        assert!(find(&e).is_some());
    }

    #[test]
    fn pooler_pool_exhausted_is_what_a_client_is_told() {
        let mut e = healthy();
        late(&mut e, "08P01", "query_wait_timeout");
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[1].cause, "pooler-upstream-failing");
        assert!(find(&refused("08P01", "query_wait_timeout")).is_none(), "nobody was welcomed");
    }

    #[test]
    fn pooler_pool_exhausted_is_not_a_pool_without_any_server() {
        for console in [true, false] {
            let mut e = with_pool(|row| (row.cl_waiting, row.maxwait_s) = (1, 0.4));
            if !console {
                e.pooler = crate::evidence::Seen::NotSeen("not configured".into());
                window(&mut e, |host| {
                    let program = "pgbouncer".to_owned();
                    host.proxy = Some(ProcessView { program, state: 'S', ..ProcessView::default() });
                    host.proxy_upstream = Some(vec![]);
                });
            }
            if let Some(startup) = &mut e.front.startup {
                startup.pooler = Some("it refused a startup parameter as PgBouncer does".into());
            }
            let silent = e.front.query.as_mut().expect("a query");
            silent.outcome = QueryOutcome::Silent;
            let found = crate::diagnose(&e);
            let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.confidence)).collect();
            assert_eq!(told, [("pooler-upstream-failing", Confidence::Likely)], "console: {console}");
            late(&mut e, "08P01", "query_wait_timeout");
            assert_eq!(crate::diagnose(&e)[0].cause, "pooler-upstream-failing");
        }
    }
}
