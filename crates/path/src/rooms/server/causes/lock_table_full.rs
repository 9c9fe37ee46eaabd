//! `lock-table-full`: the server has no room for another lock.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::rooms::server::log;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity, SqlState};

cause! {
    /// The server's table of locks is full: logins and statements fail with "out of shared memory".
    ///
    /// ## What it is
    /// All sessions share one table of `max_locks_per_transaction × (max_connections + max_prepared_transactions)` locks.
    /// One transaction that touches thousands of tables or partitions (a dump, a migration, `DROP SCHEMA`), or advisory
    /// locks that are never given back, fill it for everybody. Memory of the host has nothing to do with it.
    ///
    /// ## What proves it
    /// `53200 out of shared memory`, HINT `You might need to increase max_locks_per_transaction.`, at a login, at a query
    /// or in the log. With the HINT `max_pred_locks_per_transaction` it is the table of predicate locks, and not this.
    ///
    /// ## What mends it
    /// Find who holds most of `pg_locks` and cancel it; nothing else is needed. Where nobody gets in any more, the process
    /// titles show the long transaction: `kill -INT` its backend cancels, `kill -TERM` ends the session.
    ///
    /// ## What makes it worse
    /// Restarting the server: the migration begins again. Ending sessions that idle: they hold next to nothing. Raising
    /// `shared_buffers` or the host's memory.
    ///
    /// ## What prevents it
    /// A larger `max_locks_per_transaction` (it takes a restart, and standbys first); migrations and dumps in parts; fewer
    /// partitions in one query.
    ///
    /// ## References
    /// Postgres manual: "Lock Management" (`max_locks_per_transaction`), `pg_locks`.
    "lock-table-full" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = said::errors(e).find(is_of_locks);
    let logged = log::recent(e, Words::OutOfSharedMemory);
    let critical = told.is_some_and(Said::to_the_service) || (told.is_none() && !e.front.admitted());
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    // The log's entries carry no HINT.
    let sure = told.is_some_and(|s| s.error.hint.is_some());
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let mut facts = told.iter().map(Said::fact).chain(logged.map(|(_, fact)| fact));
    let proof = facts.next()?;
    let at_login = told.is_some_and(|s| !s.error.severity.is_empty() && s.error.severity == "FATAL");
    let what = if at_login { "nobody new gets in" } else { "statements fail" };
    let summary = format!("the server's table of locks is full: {what}");
    let sql = "select l.pid, count(*) as locks, a.usename, a.application_name, a.state, a.xact_start, left(a.query, 60) \
               from pg_locks l left join pg_stat_activity a using (pid) group by 1, 3, 4, 5, 6, 7 order by 2 desc limit 5";
    let pid = e.host.get().and_then(|h| h.postmaster.as_ref()).map(|p| p.pid);
    let children = pid.map_or_else(|| "-C postgres".to_owned(), |pid| format!("--ppid {pid}"));
    let mut finding = Finding::new(CAUSE.id, Room::Server, severity, confidence, summary, proof);
    if !sure {
        finding = finding.or_else(
            "allocation-failed",
            "the HINT in the server's log: `max_locks_per_transaction` for this, `max_pred_locks_per_transaction` for predicate locks",
        );
    }
    Some(finding.and_all(facts).mended_by(RemedyPlan::by_hand(
        "cancel-lock-holder",
        RemedyKind::Advice,
        "find the transaction that holds most locks and cancel it; where no session can be had, by its process on the server's host",
        format!(
            "{}; ps -o pid,etimes,args --sort=-etimes {children} | grep -v idle$   # then: kill -INT PID",
            psql(e, sql)
        ),
    )))
}

/// 53200 has four meanings; the message tells memory from shared memory, the HINT which table of it.
fn is_of_locks(said: &Said<'_>) -> bool {
    let hint = said.error.hint.as_deref().unwrap_or_default();
    said.error.is(SqlState::OUT_OF_MEMORY)
        && said.says(Words::OutOfSharedMemory)
        && !pgmedic_model::pooler_words::says(hint, Words::PredicateLocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ended, fatal, healthy, log_of, refused, window};
    use crate::rooms::startup::evidence::StartupOutcome;

    fn hinted(hint: &str) -> Evidence {
        let mut error = fatal("53200", "out of shared memory");
        error.hint = Some(hint.to_owned());
        ended(StartupOutcome::Error(error))
    }

    #[test]
    fn lock_table_full_at_a_login() {
        let found = crate::diagnose(&hinted("You might need to increase max_locks_per_transaction."));
        assert_eq!((found.len(), found[0].cause.as_str()), (1, "lock-table-full"));
        assert_eq!(found[0].summary, "the server's table of locks is full: nobody new gets in");
        assert_eq!(found[0].confidence, Confidence::Certain);
        assert_eq!(find(&refused("53200", "out of shared memory")).unwrap().confidence, Confidence::Likely);
    }

    #[test]
    fn lock_table_full_where_only_a_sign_of_life_came() {
        let mut e = healthy();
        let query = e.front.query.as_mut().unwrap();
        let mut error = fatal("53200", "out of shared memory");
        (error.severity, error.hint) =
            ("ERROR".into(), Some("You might need to increase max_locks_per_transaction.".into()));
        query.outcome = crate::evidence::QueryOutcome::Alive(error.to_string());
        query.refused = Some(error);
        let found = find(&e).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.ends_with("statements fail"));
    }

    #[test]
    fn lock_table_full_is_no_other_want_of_memory() {
        assert!(find(&hinted("You might need to increase max_pred_locks_per_transaction.")).is_none());
        assert!(find(&refused("53200", "out of memory")).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn lock_table_full_by_the_log_is_a_warning_while_sessions_are_let_in() {
        let mut e = healthy();
        window(&mut e, |host| host.log = Some(log_of("53200", "out of shared memory")));
        assert_eq!(find(&e).unwrap().severity, Severity::Warning);
    }
}
