//! `crash-unsafe`: a crash may leave the database broken.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Change, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// A crash of the host may leave the database broken beyond recovery: fsync or full_page_writes is off.
    ///
    /// ## What it is
    /// Somebody has traded safety for the speed of a load or a test, and has not put it back.
    ///
    /// ## What breaks
    /// After a power cut or a lost machine recovery meets pages that are torn or were never written: the server does not
    /// come up, or comes up with wrong data.
    ///
    /// ## What proves it
    /// `pg_settings`.
    ///
    /// ## What mends it
    /// Both on, by a reload; then a `checkpoint` and a backup, for what was written before is only safe after that.
    ///
    /// ## References
    /// Postgres manual: `fsync`, `full_page_writes`, "Reliability".
    "crash-unsafe" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let off = |name: &&str| view.setting(name).is_some_and(|s| s.value == "off");
    let names: Vec<&str> = ["fsync", "full_page_writes"].into_iter().filter(off).collect();
    let first = names.first()?;
    let all: Vec<Change> = names
        .iter()
        .filter_map(|name| changes::for_server(&view, name, "on", Needs::Reload, Risk::Adds))
        .map(|change| changes::noting(change, "after the reload: checkpoint, and a new backup"))
        .collect();
    let summary = format!("{} off: a crash of the host may leave the database broken", names.join(" and "));
    Some(
        AuditFinding::new(
            WEAKNESS.id,
            WEAKNESS.room,
            summary,
            view.fact("pg_settings", format!("{first} = off")),
        )
        .weighs(Severity::Critical, Confidence::Certain)
        .breaks(Nearness::Fault, "at the next crash of the host the server may not come up again")
        .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};

    #[test]
    fn crash_unsafe_where_either_is_off() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(|told| set(told, "full_page_writes", "off"))).unwrap();
        assert_eq!((found.severity, found.changes.len()), (Severity::Critical, 1));
        assert_eq!(found.changes[0].statement, "alter system set full_page_writes = 'on'");
    }
}
