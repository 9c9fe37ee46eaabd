//! `orphan-prepared-transaction`: a prepared transaction that nobody finishes.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{literal, psql_in};
use crate::rooms::sessions::waits;
use crate::sql::facts::PreparedView;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// A coordinator finishes within moments: one older than this, in ms, has been forgotten.
const FORGOTTEN_MS: f64 = 300_000.0;
/// One that blocks others is judged from this age on, in ms, or from so many others on: younger ones are about to be
/// finished.
const BLOCKS_AFTER_MS: f64 = 100.0;
const BLOCKS_AT_ONCE: u64 = 3;

cause! {
    /// A prepared transaction is left over: it holds its locks without any session.
    ///
    /// ## What it is
    /// `PREPARE TRANSACTION` (two-phase commit) parts a transaction from its session. If its coordinator dies before
    /// the second phase, it stays: through disconnects, restarts and failovers, with its locks and its xmin.
    ///
    /// ## What proves it
    /// A row of `pg_prepared_xacts` older than five minutes, or one that others wait for: `pg_blocking_pids()` shows
    /// pid 0, its rows of `pg_locks` have no pid.
    ///
    /// ## What mends it
    /// Ask the coordinator (or read its log) which way the transaction went elsewhere. Then, in its own database and
    /// as its owner or a superuser: `rollback prepared 'gid'`, or `commit prepared 'gid'`.
    ///
    /// ## What makes it worse
    /// A restart does not help: it survives. A blind rollback loses the half that was committed elsewhere. Ending the
    /// waiters: they come back.
    ///
    /// ## What prevents it
    /// `max_prepared_transactions = 0` (the default) where nobody uses two-phase commit; an alert on the oldest one.
    ///
    /// ## References
    /// Postgres manual: "PREPARE TRANSACTION", `pg_prepared_xacts`, `pg_blocking_pids()`.
    "orphan-prepared-transaction" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let behind = waits::trees(facts, true).iter().find(|t| t.root == 0).map_or(0, |t| t.waiters.len() as u64);
    let in_the_way =
        |p: &&PreparedView| p.blocks >= BLOCKS_AT_ONCE || p.blocks > 0 && p.age_ms >= BLOCKS_AFTER_MS;
    let prepared = &facts.sessions.prepared;
    let blocker = prepared.iter().filter(in_the_way).max_by_key(|p| p.blocks);
    let worst = blocker.or_else(|| prepared.iter().find(|p| p.age_ms >= FORGOTTEN_MS))?;
    let gid = literal(&worst.gid);
    let age = Ms(worst.age_ms);
    let (severity, summary) = if blocker.is_some() {
        let waiters = behind.max(worst.blocks);
        let text =
            format!("{waiters} sessions wait for prepared transaction {gid} of {}, {age} old", worst.owner);
        (Severity::Critical, text)
    } else {
        let text =
            format!("prepared transaction {gid} of {} was left {age} ago; it keeps its locks", worst.owner);
        (Severity::Warning, text)
    };
    let text = format!(
        "{gid} in database {}, owner {}, {age} old, {} sessions wait for it; {} prepared in all",
        worst.database, worst.owner, worst.blocks, facts.sessions.prepared_total
    );
    let proof = Fact::new(Source::Sql, at, format!("pg_prepared_xacts at {place}"), text).value(worst.age_ms);
    let rollback = format!("rollback prepared {gid}");
    Some(Finding::new(CAUSE.id, Room::Sessions, severity, Confidence::Certain, summary, proof).mended_by(
        RemedyPlan::by_hand(
            "finish-prepared-transaction",
            RemedyKind::Advice,
            "ask the coordinator which way it went elsewhere; then roll it back here (or commit prepared)",
            psql_in(e, &worst.database, &rollback),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;
    use crate::rooms::sessions::waits::tests::wait;

    fn prepared(age_ms: f64, blocks: u64) -> Evidence {
        with_facts(|f| {
            let gid = "xa'1".to_owned();
            let (owner, database) = ("app".to_owned(), "renderflow".to_owned());
            f.sessions.prepared = vec![PreparedView { gid, owner, database, age_ms, blocks }];
            f.sessions.prepared_total = 1;
            if blocks > 0 {
                wait(f, 2, "transactionid", age_ms, &[0]);
                wait(f, 3, "tuple", age_ms, &[2]);
            }
        })
    }

    #[test]
    fn orphan_prepared_transaction_that_blocks_is_critical() {
        let found = find(&prepared(2_000.0, 1)).unwrap();
        assert_eq!(found.severity, Severity::Critical);
        assert_eq!(found.summary, "2 sessions wait for prepared transaction 'xa''1' of app, 2.0 s old");
        assert!(found.remedies[0].command.ends_with("-c \"rollback prepared 'xa''1'\""));
    }

    #[test]
    fn orphan_prepared_transaction_that_is_old_is_a_warning_and_a_young_one_nothing() {
        assert_eq!(find(&prepared(400_000.0, 0)).unwrap().severity, Severity::Warning);
        assert!(find(&prepared(20_000.0, 0)).is_none());
        assert!(find(&prepared(20.0, 1)).is_none());
        assert!(find(&prepared(20.0, 3)).is_some());
    }
}
