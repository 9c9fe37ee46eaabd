//! `budget-overrun`: the pools may open more connections than the server lets in.

use crate::audit::view::View;
use crate::audit::{budget, changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Budget, Confidence, Nearness, Needs, ObjectKind, Severity};

weakness! {
    /// The pools may open more connections than the server lets in.
    ///
    /// ## What it is
    /// Every machine of the API has a pool of its own, and each may grow to its largest size at once: at a peak, after an
    /// outage, while a rolling deploy runs old and new machines side by side. The sum counts machines, the deploy's
    /// overlap, workers, migrations, pgmedic's own two and whoever else is there, against `max_connections` less both
    /// reserves, the role's and the database's CONNECTION LIMIT, whichever is tightest.
    ///
    /// ## What breaks
    /// Whoever comes last is refused: `53300 remaining connection slots are reserved …`. Mostly the new machines of a
    /// deploy, whose health checks then fail, and migrations.
    ///
    /// ## What proves it
    /// `[service.budget]` of `pgmedic.toml`, `pg_pool_max` of the API's metrics, the platform's machine count, against the
    /// server's own limits. The report shows the sum and where each figure is from.
    ///
    /// ## What mends it
    /// The largest safe pool size, which the audit names; a pool of that size is mostly as fast, for a database has few
    /// cores. Else a pooler in transaction mode. Raising `max_connections` needs a restart and costs memory.
    ///
    /// ## References
    /// Postgres manual: `max_connections`, `superuser_reserved_connections`, `reserved_connections` (16+), "ALTER ROLE" (CONNECTION LIMIT).
    "budget-overrun" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let sum = budget::sum(e).filter(Budget::is_overrun)?;
    let wanted = sum.wanted?;
    let most = sum.terms.first().map(|t| t.what.clone()).unwrap_or_default();
    let safe = sum.largest_pool.unwrap_or(0);
    let summary = format!(
        "{wanted} connections wanted at most ({most}, …), {} let in ({}); the largest safe pool is {safe} a machine",
        sum.allowed, sum.allowed_by
    );
    let text = format!("{}: {} connections", sum.allowed_by, sum.allowed);
    let terms =
        sum.terms.iter().map(|t| view.fact("the sum", format!("{}: {} ({})", t.what, t.connections, t.from)));
    let (size, how) = if safe > 0 {
        (format!("max {safe}"), format!("set the pool's max to {safe}: {}", sum.largest_pool_by))
    } else {
        (
            "a pooler".to_owned(),
            "no pool size fits: put a pooler in transaction mode before the server".to_owned(),
        )
    };
    let now = e.budget.pool_max.or(e.app.metrics.get().and_then(|m| m.max).map(|_| 0)).filter(|n| *n > 0);
    let now = now.map_or_else(|| "as its metrics say".to_owned(), |max| format!("max {max}"));
    let pool = if view.pooled() {
        let (now, then) = ("default_pool_size", format!("default_pool_size = {safe}"));
        let values = ("as its console says", size.as_str());
        changes::line("pgbouncer.ini", "default_pool_size", values, (now, &then), Needs::Reload)
    } else {
        let values = (now.as_str(), size.as_str());
        changes::person(ObjectKind::Service, "the API's pool", "pool max", values, how, Needs::Deploy)
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, view.fact("limits", text).value(sum.allowed))
            .and_all(terms)
            .weighs(Severity::Critical, Confidence::Certain)
            .breaks(
                Nearness::Load,
                "whoever comes last is refused (53300): the new machines of a deploy, migrations",
            )
            .mended_by([changes::noting(pool, &otherwise(&view, &sum, wanted))]),
    )
}

/// What else would do: the limit that is in the way, raised.
fn otherwise(view: &View<'_>, sum: &Budget, wanted: u64) -> String {
    let a = &view.facts.admission;
    if sum.allowed < a.ordinary() && wanted <= a.ordinary() {
        return format!("or, where {wanted} are on purpose, a larger {}", sum.allowed_by);
    }
    let more = wanted.saturating_sub(a.ordinary());
    format!(
        "or, where the memory is there, max_connections = {} and a restart: about {} MB more",
        a.max_connections + more,
        more * 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::budget::tests::planned;

    #[test]
    fn budget_overrun_names_the_largest_safe_pool() {
        let found = find(&planned(25, Some(10), -1)).unwrap();
        assert_eq!((found.severity, found.nearness), (Severity::Critical, Nearness::Load));
        assert!(
            found
                .summary
                .starts_with("63 connections wanted at most (3 machines × pool max 10, …), 22 let in")
        );
        assert_eq!(found.changes[0].advised, "max 3");
        assert!(found.changes[0].note.contains("max_connections = 66"));
        let limited = find(&planned(100, Some(10), 40)).unwrap();
        assert!(
            limited.changes[0].note.ends_with("a larger CONNECTION LIMIT 40 of role app"),
            "{:?}",
            limited.changes
        );
        assert!(find(&planned(25, Some(3), -1)).is_none());
        assert!(find(&planned(25, None, -1)).is_none(), "not known, so not found");
        assert_eq!(find(&planned(8, Some(10), -1)).unwrap().changes[0].advised, "a pooler");
    }
}
