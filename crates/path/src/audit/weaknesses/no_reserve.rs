//! `no-reserve`: no slot is kept for rescue.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// No slot is kept for a superuser: with the slots full nobody gets in.
    ///
    /// ## What it is
    /// `superuser_reserved_connections` is 3 by default. Somebody has set it to 0.
    ///
    /// ## What breaks
    /// `53300 sorry, too many clients already`, for the superuser as well: what holds the slots can be ended from the host
    /// alone, or by a restart.
    ///
    /// ## What proves it
    /// `pg_settings`.
    ///
    /// ## What mends it
    /// `alter system set superuser_reserved_connections = 3`, and a restart at a time of your choosing.
    ///
    /// ## References
    /// Postgres manual: `superuser_reserved_connections`, `reserved_connections` (16+).
    "no-reserve" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    if view.facts.admission.superuser_reserved > 0 || view.facts.admission.max_connections == 0 {
        return None;
    }
    let summary = "superuser_reserved_connections is 0: with the slots full not even a superuser gets in";
    let fact = view.fact("pg_settings", "superuser_reserved_connections = 0").value(0);
    let change =
        changes::for_server(&view, "superuser_reserved_connections", "3", Needs::ServerRestart, Risk::Bounds);
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Load, "with the slots full, what holds them can only be ended from the host")
            .mended_by(change),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};

    #[test]
    fn no_reserve_needs_a_restart() {
        let mut e = audited(|_| {});
        assert!(find(&e).is_none());
        if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
            facts.admission.superuser_reserved = 0;
        }
        assert_eq!(find(&e).unwrap().changes[0].needs, Needs::ServerRestart);
    }
}
