//! `wal-outgrows-volume`: WAL may grow beyond what its volume has.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::storage::volumes;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// WAL at its usual height, with what slots may keep, does not fit in what its volume has.
    ///
    /// ## What it is
    /// `max_wal_size` is no limit but where checkpoints are asked for: under load WAL goes beyond it. On one volume with the
    /// data it needs that much free; a slot's cap comes on top.
    ///
    /// ## What breaks
    /// A bulk load on a volume that was nearly full: `PANIC … No space left on device`, and the server does not come up again
    /// until there is room.
    ///
    /// ## What proves it
    /// `max_wal_size` and `max_slot_wal_keep_size` (where there are slots) against what is free on the volume and what WAL has
    /// of it already. Seen only where the volume is.
    ///
    /// ## What mends it
    /// A smaller `max_wal_size` (a reload, at the price of more checkpoints), a smaller cap, or a larger volume: best before
    /// it is needed.
    ///
    /// ## References
    /// Postgres manual: "WAL Configuration", `max_wal_size`, `max_slot_wal_keep_size`.
    "wal-outgrows-volume" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let volume = volumes::of_wal(e).filter(|v| v.total_bytes > 0)?;
    let storage = &view.facts.storage;
    let held = volume.held.iter().filter(|(what, _)| what == "pg_wal").map(|(_, bytes)| bytes).sum::<u64>();
    let room = volume.available_bytes + held;
    let has_slots = storage.slots.iter().any(|s| !s.temporary);
    let slots = storage.max_slot_wal_keep_bytes.filter(|_| has_slots).unwrap_or(0);
    let wanted = storage.max_wal_bytes + slots;
    if wanted <= room || volumes::is_full(volume) {
        return None;
    }
    let mb = |bytes: u64| bytes >> 20;
    let summary = format!(
        "WAL may take {} (max_wal_size{}), and its volume {} has {} for it",
        volumes::bytes(wanted),
        if slots > 0 { " and what slots may keep" } else { "" },
        volumes::mount(volume),
        volumes::bytes(room)
    );
    // A third of the room for each of WAL, slots and whatever else grows there; no less than two segments.
    let third = mb(room) / 3;
    let mut all = Vec::new();
    if mb(storage.max_wal_bytes) > third.max(32) {
        all.extend(changes::for_server(
            &view,
            "max_wal_size",
            &format!("{}MB", third.max(32)),
            Needs::Reload,
            Risk::Bounds,
        ));
    }
    let kept = storage.slots.iter().filter_map(|s| s.retained_bytes).max().unwrap_or(0);
    if slots > 0 && mb(slots) > third && mb(kept) + 64 < third {
        all.extend(changes::for_server(
            &view,
            "max_slot_wal_keep_size",
            &format!("{third}MB"),
            Needs::Reload,
            Risk::Limits,
        ));
    }
    let extend = volumes::extend(e, Some(volume));
    let larger = changes::person(
        pgmedic_model::ObjectKind::Service,
        "the volume",
        "size",
        (&volumes::bytes(volume.total_bytes), "larger"),
        format!("{}: {}", extend.plan, extend.command),
        Needs::Nothing,
    );
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, volumes::fact(e, volume))
            .and_all([view.fact("pg_settings", format!("max_wal_size {} bytes", storage.max_wal_bytes))])
            .weighs(Severity::Critical, Confidence::Certain)
            .breaks(
                Nearness::Load,
                "a bulk load fills the volume: the server panics and does not come up again",
            )
            .mended_by(all)
            .mended_by([larger]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};
    use crate::sql::facts::SlotView;

    fn with(free_mb: u64, slot: bool) -> Option<AuditFinding> {
        let mut e = with_volumes(audited(|_| {}), vec![volume(20_000, free_mb)]);
        if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
            facts.storage.max_wal_bytes = 1 << 30;
            facts.storage.max_slot_wal_keep_bytes = Some(10 << 30);
            facts.storage.slots = if slot { vec![SlotView::default()] } else { Vec::new() };
        }
        find(&e)
    }

    #[test]
    fn wal_outgrows_volume_by_itself_or_with_slots() {
        assert!(with(2_000, false).is_none() && with(12_000, true).is_none());
        let statements = |f: AuditFinding| f.changes.into_iter().map(|c| c.statement).collect::<Vec<_>>();
        let small = statements(with(900, false).unwrap());
        assert_eq!(small[0], "alter system set max_wal_size = '300MB'");
        assert_eq!(small.len(), 2);
        let slots = statements(with(6_000, true).unwrap());
        assert_eq!(slots[0], "alter system set max_slot_wal_keep_size = '2000MB'");
        assert!(find(&audited(|_| {})).is_none(), "no volume is seen");
    }
}
