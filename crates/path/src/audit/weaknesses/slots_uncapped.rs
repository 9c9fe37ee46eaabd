//! `slots-uncapped`: a replication slot may keep WAL until the disk is full.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::literal;
use crate::rooms::storage::volumes;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, ObjectKind, Risk, Severity};

weakness! {
    /// A replication slot has no cap: it may keep WAL until the disk is full.
    ///
    /// ## What it is
    /// A slot keeps WAL until its consumer has read it. `max_slot_wal_keep_size` (13+) is -1 by default: for ever.
    ///
    /// ## What breaks
    /// The consumer stays away (a dead replica, a disabled subscription), WAL fills the volume, and the server stops. Fly drops
    /// an inactive slot after 12 hours, which is later than a small volume lasts.
    ///
    /// ## What proves it
    /// `pg_replication_slots` has a slot, and `max_slot_wal_keep_size` is -1.
    ///
    /// ## What mends it
    /// A cap that is less than the volume has, by a reload: a slot beyond it is invalidated at a checkpoint, and its
    /// consumer must be rebuilt, but the server lives. The advised cap is more than any slot keeps now.
    ///
    /// ## References
    /// Postgres manual: `max_slot_wal_keep_size`, `pg_replication_slots`, "Replication Slots".
    "slots-uncapped" in Storage, proved by Proof::Drill;
}

/// Where no volume is seen.
const DEFAULT_MB: u64 = 10 * 1024;
/// Beyond what a slot keeps now.
const LEEWAY_MB: u64 = 64;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let storage = &view.facts.storage;
    let capped = view.number("max_slot_wal_keep_size").is_none_or(|bytes| bytes >= 0.0);
    let lasting: Vec<_> = storage.slots.iter().filter(|s| !s.temporary).collect();
    let first = lasting.first().filter(|_| !capped)?;
    let kept = lasting.iter().filter_map(|s| s.retained_bytes).max().unwrap_or(0) >> 20;
    let free = volumes::of_wal(e).map(|v| v.available_bytes >> 20);
    // Half of what the volume has for slots; where none is seen, a size that most volumes have.
    let advised = free.map_or(DEFAULT_MB.max(kept * 2), |free| (free + kept) / 2);
    let summary = format!(
        "{} replication slot(s) ({}, …) may keep WAL without end: max_slot_wal_keep_size is -1",
        lasting.len(),
        literal(&first.name)
    );
    let text = format!(
        "slot {}: {} kept now, active {}",
        literal(&first.name),
        volumes::bytes(kept << 20),
        first.active
    );
    // A figure that a person would write.
    let value = if advised >= 2048 { format!("{}GB", advised / 1024) } else { format!("{advised}MB") };
    let change = if advised < kept + LEEWAY_MB {
        let how = format!(
            "the volume has no room for a cap beyond the {kept} MB that a slot keeps: start its consumer, or extend the volume first"
        );
        changes::person(ObjectKind::Server, "", "max_slot_wal_keep_size", ("-1", "a cap"), how, Needs::Reload)
    } else {
        let change =
            changes::for_server(&view, "max_slot_wal_keep_size", &value, Needs::Reload, Risk::Limits)?;
        changes::noting(
            change,
            "a slot that falls further behind is invalidated, and its consumer must be rebuilt",
        )
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, view.fact("pg_replication_slots", text))
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(
                Nearness::Fault,
                "when its consumer stays away, WAL fills the volume and the server stops",
            )
            .and_all(volumes::of_wal(e).map(|v| volumes::fact(e, v)))
            .mended_by([change]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};
    use crate::evidence::{QueryEvidence, QueryOutcome};
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};
    use crate::sql::facts::SlotView;
    use pgmedic_model::By;

    fn with_slot(cap: &str, kept_mb: u64) -> Evidence {
        let mut e = audited(|told| set(told, "max_slot_wal_keep_size", cap));
        if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
            let slot = SlotView {
                name: "replica".into(),
                retained_bytes: Some(kept_mb << 20),
                ..SlotView::default()
            };
            facts.storage.slots = vec![slot];
        }
        e
    }

    #[test]
    fn slots_uncapped_get_a_cap_that_the_volume_bears() {
        assert!(find(&with_slot("10240", 1)).is_none());
        assert!(
            find(&audited(|told| set(told, "max_slot_wal_keep_size", "-1"))).is_none(),
            "there is no slot"
        );
        let cap = |e: &Evidence| find(e).unwrap().changes[0].advised.clone();
        assert_eq!(cap(&with_slot("-1", 100)), "10GB");
        assert_eq!(cap(&with_volumes(with_slot("-1", 100), vec![volume(8_000, 3_900)])), "2000MB");
        let full = find(&with_volumes(with_slot("-1", 3_000), vec![volume(8_000, 100)])).unwrap();
        assert_eq!(full.changes[0].by, By::Person);
    }
}
