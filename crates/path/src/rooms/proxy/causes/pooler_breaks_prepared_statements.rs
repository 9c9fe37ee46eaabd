//! `pooler-breaks-prepared-statements`: statements that were prepared on one server connection are run on another.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use crate::rooms::proxy::evidence::{PoolRow, PoolerEvidence};
use crate::rooms::proxy::silence::by_a_pooler;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The API's prepared statements get lost in PgBouncer's transaction pooling.
    ///
    /// ## What it is
    /// A prepared statement lives in one session of the server. In transaction (or statement) mode PgBouncer gives a client
    /// another session for each transaction: the statement is missing there (26000), or another client's stands under the
    /// same name (42P05). It fails now and then, under load more often, and never in a test with one client.
    ///
    /// ## What proves it
    /// `prepared statement "…" does not exist` or `… already exists` in the API's log or its readiness, and `pool_mode`
    /// `transaction` or `statement` in `SHOW POOLS`. From 1.21 on PgBouncer carries protocol-level statements over where
    /// `max_prepared_statements` is not 0 (the default from 1.24); then `prepared statement did not exist` (08P01) is its
    /// own word, and SQL's `PREPARE` still gets lost.
    ///
    /// ## What mends it
    /// 1. PgBouncer 1.21+: `max_prepared_statements = 200`, then `RELOAD`.
    /// 2. Else switch the client's off: `prepare: false` (postgres.js), `prepareThreshold=0` (JDBC), `statement_cache_size=0`
    ///    (asyncpg), `statement_cache_capacity=0` (sqlx), `pgbouncer=true` (Prisma), `prepare: :unnamed` (Ecto).
    /// 3. Or `pool_mode = session` for this database, with far more server connections.
    ///
    /// ## What makes it worse
    /// Retrying: it may work by chance and hide the fault. `DEALLOCATE ALL` from one client: it takes the statements of
    /// whoever had that server connection.
    ///
    /// ## What prevents it
    /// A test through the pooler with more clients than server connections.
    ///
    /// ## References
    /// PgBouncer manual: `max_prepared_statements`, `pool_mode`, "SQL feature map for pooling modes"; NEWS of 1.21 and 1.24.
    /// Postgres manual: PREPARE, error codes 26000 and 42P05.
    "pooler-breaks-prepared-statements" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (proof, said) = lost(e)?;
    let pool = e.pooler.get().and_then(|p| Some((p, own_pool(e, p)?)));
    let (confidence, facts, how) = match pool {
        Some((_, row)) if row.pool_mode == "session" => return None,
        Some((pooler, row)) => {
            let carried = pooler.max_prepared_statements.filter(|n| *n > 0);
            let sure = if carried.is_none() { Confidence::Certain } else { Confidence::Likely };
            let max = carried.map_or_else(String::new, |n| format!(", max_prepared_statements {n}"));
            let mode = format!("{}/{}: pool_mode {}{max}", row.database, row.user, row.pool_mode);
            (
                sure,
                vec![console::fact(pooler, "SHOW POOLS", mode)],
                format!(" in pool_mode {}", row.pool_mode),
            )
        }
        None => (Confidence::Likely, vec![by_a_pooler(e)?], String::new()),
    };
    let severity = if readiness::failing(e) { Severity::Critical } else { Severity::Warning };
    let summary = format!("PgBouncer{how} loses the API's prepared statements: {said}");
    let command = e.pooler.get().map_or_else(
        || {
            "SHOW CONFIG;   -- on PgBouncer's admin console: pool_mode, max_prepared_statements (1.21+)"
                .to_owned()
        },
        |p| console::command(p, "SHOW CONFIG") + " | grep -E 'pool_mode|max_prepared_statements'",
    );
    let plan = "set max_prepared_statements (PgBouncer 1.21+) and RELOAD, or switch prepared statements off in the API's driver";
    Some(
        Finding::new(CAUSE.id, Room::Proxy, severity, confidence, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand("carry-prepared-statements", RemedyKind::Settings, plan, command)),
    )
}

/// What the API says of a statement that is lost: in its readiness' reason, else in its log.
fn lost(e: &Evidence) -> Option<(Fact, String)> {
    const PATTERN: LogPattern = LogPattern::PreparedStatementLost;
    let told = readiness::told(e).filter(|t| t.failing() && t.meaning() == Some(PATTERN));
    if let Some(told) = told {
        return Some((told.fact(), words(told.reason.unwrap_or_default())));
    }
    let (hit, fact) = readiness::logged(e, PATTERN)?;
    Some((fact, words(&hit.last)))
}

/// From a line the words on the statement.
fn words(line: &str) -> String {
    line.find("prepared statement").map_or(line, |from| &line[from..]).to_owned()
}

/// The pool that the API's role has, else any of its database.
fn own_pool<'a>(e: &Evidence, pooler: &'a PoolerEvidence) -> Option<&'a PoolRow> {
    let mut rows = pooler.pools.iter().filter(|row| row.database == e.target.database);
    rows.clone().find(|row| row.user == e.target.user).or_else(|| rows.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::healthy;
    use crate::rooms::app::causes::api_not_initialised::tests::{log_line, not_ready};
    use crate::rooms::app::readiness::tests::ready_says;
    use crate::rooms::proxy::causes::console::fixture::with_pool;

    const LINE: &str = "ERROR 26000: prepared statement \"s0\" does not exist";

    fn logged(mut e: Evidence) -> Evidence {
        log_line(&mut e, LogPattern::PreparedStatementLost, LINE);
        e
    }

    #[test]
    fn pooler_breaks_prepared_statements_in_transaction_mode() {
        let transaction = || with_pool(|row| row.pool_mode = "transaction".into());
        let found = find(&logged(transaction())).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert!(found.summary.starts_with("PgBouncer in pool_mode transaction loses"), "{}", found.summary);
        assert!(find(&transaction()).is_none());
        assert!(find(&logged(with_pool(|row| row.pool_mode = "session".into()))).is_none());
        assert!(find(&logged(healthy())).is_none(), "nothing says that a pooler stands between");
        let mut carries = logged(transaction());
        if let Seen::Seen(pooler) = &mut carries.pooler {
            pooler.max_prepared_statements = Some(200);
        }
        assert_eq!(find(&carries).expect("found").confidence, Confidence::Likely);
    }

    #[test]
    fn pooler_breaks_prepared_statements_and_readiness_with_them() {
        let mut e = with_pool(|row| row.pool_mode = "transaction".into());
        ready_says(&mut e, not_ready(LINE));
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role, f.severity)).collect();
        use pgmedic_model::Role::{Root, Symptom};
        let critical = Severity::Critical;
        assert_eq!(told, [(CAUSE.id, Root, critical), ("readiness-failing", Symptom, critical)]);
        // PgBouncer's own word, from 1.21 on.
        ready_says(&mut e, not_ready("FATAL 08P01: prepared statement did not exist"));
        assert!(find(&e).is_some());
    }
}
