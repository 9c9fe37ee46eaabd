//! `autovacuum-off`: nothing freezes old rows until it must.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// Autovacuum is off: tables bloat, and transaction ids are only freed when it must be.
    ///
    /// ## What it is
    /// Even so the server vacuums against wraparound at `autovacuum_freeze_max_age`, all tables at once and at the worst time.
    ///
    /// ## What breaks
    /// The disk fills with dead rows, plans rest on old statistics, and one day every table is vacuumed at once.
    ///
    /// ## What proves it
    /// `pg_settings`: `autovacuum = off`.
    ///
    /// ## What mends it
    /// `alter system set autovacuum = on`, a reload.
    ///
    /// ## References
    /// Postgres manual: "Routine Vacuuming", "Automatic Vacuuming".
    "autovacuum-off" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    view.setting("autovacuum").filter(|s| s.value == "off")?;
    let fact = view.fact("pg_settings", "autovacuum = off");
    Some(
        AuditFinding::new(
            WEAKNESS.id,
            WEAKNESS.room,
            "autovacuum is off: dead rows and old ids pile up",
            fact,
        )
        .weighs(Severity::Warning, Confidence::Certain)
        .breaks(Nearness::SomeDay, "the disk fills with dead rows, or every table is vacuumed at once")
        .mended_by(changes::for_server(&view, "autovacuum", "on", Needs::Reload, Risk::Adds)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};

    #[test]
    fn autovacuum_off_is_put_on() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(|told| set(told, "autovacuum", "off"))).unwrap();
        assert_eq!(found.changes[0].statement, "alter system set autovacuum = 'on'");
    }
}
