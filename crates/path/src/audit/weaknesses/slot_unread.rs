//! `slot-unread`: a replication slot that nobody reads.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::literal;
use crate::rooms::storage::volumes;
use pgmedic_model::{AuditFinding, Confidence, Ms, Nearness, Needs, ObjectKind, Severity};

weakness! {
    /// A replication slot has no reader: it keeps WAL, and holds VACUUM back.
    ///
    /// ## What it is
    /// A replica that was removed, a subscription that was disabled, a backup tool that was replaced: its slot stays until
    /// somebody drops it.
    ///
    /// ## What breaks
    /// WAL piles up until the cap, or until the volume is full; a logical slot's `catalog_xmin` keeps dead rows of the
    /// catalogues. Once it keeps much, it is the cause `slot-retains-wal`.
    ///
    /// ## What proves it
    /// `pg_replication_slots`: `active = f`, and since when (17 and later).
    ///
    /// ## What mends it
    /// Start its consumer; or, once it is known to be gone for good, drop the slot. pgmedic drops none: a consumer that comes
    /// back must be rebuilt. On 18 and later `idle_replication_slot_timeout` invalidates one that idles for long.
    ///
    /// ## References
    /// Postgres manual: `pg_replication_slots`, "Replication Slots", `idle_replication_slot_timeout` (18+).
    "slot-unread" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let slots = &view.facts.storage.slots;
    let unread: Vec<_> = slots
        .iter()
        .filter(|s| !s.active && !s.temporary && s.wal_status.as_deref() != Some("lost"))
        .collect();
    let first = unread.first()?;
    let more = if unread.len() > 1 { format!(" (and {} more)", unread.len() - 1) } else { String::new() };
    let since = first.inactive_ms.map(|ms| format!(" for {}", Ms(ms))).unwrap_or_default();
    let kept = volumes::bytes(first.retained_bytes.unwrap_or(0));
    let name = literal(&first.name);
    let summary =
        format!("nobody reads {} slot {name}{more}{since}; it keeps {kept} of WAL so far", first.kind);
    let fact =
        view.fact("pg_replication_slots", format!("slot {name}: active false, {kept} since restart_lsn"));
    let change = |slot: &&crate::sql::facts::SlotView| {
        let how = format!(
            "start its consumer, or, once that is known to be gone for good: select pg_drop_replication_slot({})",
            literal(&slot.name)
        );
        changes::person(
            ObjectKind::Server,
            "",
            &format!("slot {}", slot.name),
            ("inactive", "read, or dropped"),
            how,
            Needs::Nothing,
        )
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::SomeDay, "WAL piles up until its cap, or until the volume is full")
            .mended_by(unread.iter().map(change)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};
    use crate::sql::facts::SlotView;

    #[test]
    fn slot_unread_is_for_a_person_to_drop() {
        let with = |active, status: Option<&str>| {
            let mut e = audited(|_| {});
            if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
                let wal_status = status.map(str::to_owned);
                let slot = SlotView {
                    name: "old".into(),
                    kind: "physical".into(),
                    active,
                    wal_status,
                    ..SlotView::default()
                };
                facts.storage.slots = vec![slot];
            }
            find(&e)
        };
        assert!(with(true, None).is_none() && with(false, Some("lost")).is_none());
        let found = with(false, Some("reserved")).unwrap();
        assert_eq!(found.changes[0].by, pgmedic_model::By::Person);
        assert!(found.changes[0].statement.contains("pg_drop_replication_slot('old')"));
    }
}
