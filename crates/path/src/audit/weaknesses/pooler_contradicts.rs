//! `pooler-contradicts`: the pooler's settings contradict the API's pool.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Fact, Ms, Nearness, Needs, Severity, Source};

weakness! {
    /// The pooler's settings contradict the API's pool: clients give up before the pooler does, or their statements are lost.
    ///
    /// ## What it is
    /// PgBouncer has a client wait for a server connection for `query_wait_timeout` (120 s). A pool that gives up after 10 s
    /// leaves its queries in the pooler's queue, and comes again with new ones. In transaction mode with
    /// `max_prepared_statements = 0` (1.21 and later) prepared statements are lost between two transactions.
    ///
    /// ## What breaks
    /// At the next full pool the queue grows with queries that nobody waits for; `26000 prepared statement … does not exist`.
    ///
    /// ## What proves it
    /// `SHOW CONFIG` and `SHOW POOLS` of the console, against `pool_wait` of `[service.budget]`.
    ///
    /// ## What mends it
    /// `query_wait_timeout` under the pool's own patience; `max_prepared_statements = 100`. Both by a reload.
    ///
    /// ## References
    /// pgbouncer(5): `query_wait_timeout`, `max_prepared_statements`, `pool_mode`.
    "pooler-contradicts" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let pooler = e.pooler.get()?;
    let mut facts = Vec::new();
    let mut all = Vec::new();
    let fact = |text: String| Fact::new(Source::Pooler, pooler.at, pooler.address.as_str(), text);
    let patience = e.budget.pool_wait_ms;
    if let Some((wait, patience)) =
        pooler.query_wait_timeout_s.zip(patience).filter(|(s, ms)| *s * 1000.0 >= *ms || *s == 0.0)
    {
        facts.push(fact(format!(
            "query_wait_timeout {wait} s; the API's pool gives up after {}",
            Ms(patience)
        )));
        let advised = ((patience / 1000.0).floor() - 1.0).max(1.0);
        let lines = (&*format!("query_wait_timeout = {wait}"), &*format!("query_wait_timeout = {advised}"));
        all.push(changes::line(
            "pgbouncer.ini",
            "query_wait_timeout",
            (&wait.to_string(), &advised.to_string()),
            lines,
            Needs::Reload,
        ));
    }
    let by_transaction =
        pooler.pools.iter().any(|p| p.pool_mode == "transaction" && p.database != "pgbouncer");
    if by_transaction && pooler.max_prepared_statements == Some(0) {
        facts.push(fact("pool_mode transaction, max_prepared_statements 0".to_owned()));
        let lines = ("max_prepared_statements = 0", "max_prepared_statements = 100");
        all.push(changes::line(
            "pgbouncer.ini",
            "max_prepared_statements",
            ("0", "100"),
            lines,
            Needs::Reload,
        ));
    }
    let mut facts = facts.into_iter();
    let first = facts.next()?;
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, first.fact.clone(), first)
            .and_all(facts)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(
                Nearness::Load,
                "at a full pool the queue fills with queries that nobody waits for any more",
            )
            .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::Seen;
    use crate::rooms::proxy::evidence::{PoolRow, PoolerEvidence};

    #[test]
    fn pooler_contradicts_the_patience_of_the_pool_or_its_statements() {
        let with = |wait: f64, patience: Option<f64>, prepared: Option<u64>| {
            let mut e = audited(|_| {});
            let pool = PoolRow {
                database: "renderflow".into(),
                pool_mode: "transaction".into(),
                ..PoolRow::default()
            };
            e.budget.pool_wait_ms = patience;
            e.pooler = Seen::Seen(PoolerEvidence {
                pools: vec![pool],
                query_wait_timeout_s: Some(wait),
                max_prepared_statements: prepared,
                ..PoolerEvidence::default()
            });
            find(&e)
                .map(|f| f.changes.into_iter().map(|c| c.statement).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        assert!(with(120.0, None, None).is_empty() && with(8.0, Some(10_000.0), Some(200)).is_empty());
        assert_eq!(with(120.0, Some(10_000.0), None), ["query_wait_timeout = 9"]);
        assert_eq!(
            with(0.0, Some(10_000.0), Some(0)),
            ["query_wait_timeout = 9", "max_prepared_statements = 100"]
        );
    }
}
