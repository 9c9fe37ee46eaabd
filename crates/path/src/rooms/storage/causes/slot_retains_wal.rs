//! `slot-retains-wal`: a replication slot that nobody reads keeps WAL.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{literal, psql, psql_each, psql_in};
use crate::rooms::storage::volumes;
use crate::sql::facts::{SlotView, StorageFacts};
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// An inactive slot is worth naming from max_wal_size on, or from this part of the volume that holds WAL.
const PART_OF_VOLUME: u64 = 10;
/// An active one lags now and then: from so many times max_wal_size on, and only where its WAL is at risk or extended.
const ACTIVE_TIMES: u64 = 4;

cause! {
    /// A replication slot keeps WAL from removal: nobody reads it, and the disk fills.
    ///
    /// ## What it is
    /// A slot promises its consumer (a standby, a logical subscriber, a backup tool) that WAL is kept until it has read it.
    /// If the consumer is gone, WAL is kept for ever, until the volume is full.
    ///
    /// ## What proves it
    /// `pg_replication_slots`: `active = f` and `pg_current_wal_lsn() - restart_lsn` beyond `max_wal_size`, or beyond a
    /// tenth of the volume. An active slot counts from four times `max_wal_size` on while its `wal_status` is
    /// `extended`, and always while it is `unreserved`. One whose `wal_status` is `lost` keeps nothing any more: it was
    /// invalidated, and its consumer cannot go on.
    ///
    /// ## What mends it
    /// 1. Start the consumer again: it catches up and the WAL goes.
    /// 2. Cap it: `alter system set max_slot_wal_keep_size`, a reload; a slot beyond it is invalidated.
    /// 3. Drop the slot, once the consumer is known to be gone; it must be rebuilt if it comes back.
    ///
    /// ## What makes it worse
    /// Dropping the slot of the failover standby. `rm pg_wal/*`. A restart changes nothing: slots survive it.
    ///
    /// ## What prevents it
    /// `max_slot_wal_keep_size`; `idle_replication_slot_timeout` (18+); an alert on inactive slots.
    ///
    /// ## References
    /// Postgres manual: "Replication Slots", `pg_replication_slots`, `max_slot_wal_keep_size`.
    "slot-retains-wal" in Storage, proved by Proof::Drill;
}

/// The slot that keeps most, where that is worth naming, and how many bytes it keeps.
pub(super) fn worst(e: &Evidence) -> Option<(&SlotView, u64)> {
    let storage = &e.facts()?.storage;
    let volume = volumes::of_wal(e).map(|v| v.total_bytes);
    let held = storage.slots.iter().filter_map(|s| Some((s, s.retained_bytes?)));
    held.filter(|(s, n)| is_too_much(storage, volume, s, *n)).max_by_key(|(_, n)| *n)
}

fn is_too_much(storage: &StorageFacts, volume: Option<u64>, s: &SlotView, held: u64) -> bool {
    let part = volume.is_some_and(|total| total > 0 && held >= total / PART_OF_VOLUME);
    match (s.active, s.wal_status.as_deref()) {
        (_, Some("lost")) => false,
        (true, Some("unreserved")) => true,
        (true, Some("extended")) => held >= storage.max_wal_bytes.saturating_mul(ACTIVE_TIMES),
        (true, _) => false,
        (false, _) => part || (storage.max_wal_bytes > 0 && held > storage.max_wal_bytes),
    }
}

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let Some((slot, held)) = worst(e) else { return lost(e) };
    let full = volumes::of_wal(e).is_some_and(volumes::is_full);
    let severity = if full { Severity::Critical } else { Severity::Warning };
    let name = literal(&slot.name);
    let state = if slot.active { "active, far behind" } else { "inactive" };
    let since = slot.inactive_ms.map(|ms| format!(" for {}", Ms(ms))).unwrap_or_default();
    let kind = &slot.kind;
    let summary = format!("{kind} slot {name} ({state}{since}) keeps {} of WAL", volumes::bytes(held));
    let status = slot.wal_status.as_deref().unwrap_or("not told before 13");
    let cap = facts.storage.max_slot_wal_keep_bytes.map_or_else(|| "unlimited".to_owned(), volumes::bytes);
    let text = format!(
        "slot {name}: {state}, {held} bytes since restart_lsn, wal_status {status}; max_wal_size {}, \
         max_slot_wal_keep_size {cap}",
        volumes::bytes(facts.storage.max_wal_bytes)
    );
    let proof = Fact::new(Source::Sql, at, format!("pg_replication_slots at {place}"), text).value(held);
    let mut finding = Finding::new(CAUSE.id, Room::Storage, severity, Confidence::Certain, summary, proof)
        .and_all(volumes::of_wal(e).map(|v| volumes::fact(e, v)))
        .mended_by(RemedyPlan::by_hand(
            "start-slot-consumer",
            RemedyKind::Advice,
            "find the slot's consumer and start it: it catches up, and the WAL goes",
            psql(e, "select slot_name, slot_type, database, active, active_pid, restart_lsn, wal_status from pg_replication_slots"),
        ));
    if facts.version_num >= 130_000 && facts.storage.max_slot_wal_keep_bytes.is_none() {
        finding = finding.mended_by(cap_slots(e));
    }
    if !slot.active {
        finding = finding.mended_by(RemedyPlan::by_hand(
            "drop-verified-slot",
            RemedyKind::Advice,
            "only when its consumer is known to be gone for good: drop the slot; a consumer that returns must be rebuilt",
            drop_command(e, slot),
        ));
    }
    Some(finding)
}

/// A slot that was invalidated: it keeps nothing any more, and its consumer cannot go on.
fn lost(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let mut lost = facts.storage.slots.iter().filter(|s| s.wal_status.as_deref() == Some("lost"));
    let slot = lost.next()?;
    let name = literal(&slot.name);
    let more = match lost.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let summary = format!(
        "{} slot {name}{more} is lost: it kept too much WAL and was invalidated; its consumer must be rebuilt",
        slot.kind
    );
    let text = format!("slot {name}: wal_status lost, active {}", slot.active);
    let proof = Fact::new(Source::Sql, at, format!("pg_replication_slots at {place}"), text);
    let plan = "rebuild its consumer (a standby, a subscription) from a new base backup or copy, and drop the slot: it is of no use to anybody";
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Warning, Confidence::Certain, summary, proof)
            .mended_by(RemedyPlan::by_hand(
                "drop-lost-slot",
                RemedyKind::Advice,
                plan,
                drop_command(e, slot),
            )),
    )
}

/// A logical slot is dropped from within its own database.
pub(super) fn drop_command(e: &Evidence, slot: &SlotView) -> String {
    let sql = format!("select pg_drop_replication_slot({})", literal(&slot.name));
    slot.database.as_deref().map_or_else(|| psql(e, &sql), |database| psql_in(e, database, &sql))
}

fn cap_slots(e: &Evidence) -> RemedyPlan {
    RemedyPlan::by_hand(
        "cap-slot-wal",
        RemedyKind::Settings,
        "cap what slots may keep (choose less than the volume has); a slot beyond it is invalidated at the next checkpoint",
        psql_each(e, &["alter system set max_slot_wal_keep_size = '10GB'", "select pg_reload_conf()"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    fn slot(active: bool, status: &str, retained_mb: u64) -> Evidence {
        with_facts(|f| {
            f.storage.max_wal_bytes = 1 << 30;
            f.storage.slots = vec![SlotView {
                name: "gone_replica".into(),
                kind: "physical".into(),
                active,
                wal_status: Some(status.into()),
                retained_bytes: Some(retained_mb << 20),
                ..SlotView::default()
            }];
        })
    }

    #[test]
    fn slot_retains_wal_beyond_max_wal_size() {
        assert!(find(&slot(false, "reserved", 900)).is_none());
        let found = find(&slot(false, "extended", 1_500)).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.summary, "physical slot 'gone_replica' (inactive) keeps 1.6 GB of WAL");
        let ids: Vec<_> = found.remedies.iter().map(|r| r.remedy.as_str()).collect();
        assert_eq!(ids, ["start-slot-consumer", "cap-slot-wal", "drop-verified-slot"]);
        assert!(!found.remedies[2].command.contains("connect"));
        let logical = SlotView { database: Some("cdc".into()), ..SlotView::default() };
        assert!(drop_command(&slot(false, "", 1), &logical).contains("\\connect \"cdc\""));
    }

    #[test]
    fn slot_retains_wal_by_its_part_of_the_volume() {
        assert!(find(&with_volumes(slot(false, "reserved", 900), vec![volume(20_000, 9_000)])).is_none());
        assert!(find(&with_volumes(slot(false, "reserved", 900), vec![volume(4_000, 2_000)])).is_some());
        let full = find(&with_volumes(slot(false, "extended", 3_000), vec![volume(4_000, 0)])).unwrap();
        assert_eq!(full.severity, Severity::Critical);
    }

    #[test]
    fn slot_retains_wal_until_it_is_lost_and_then_says_so() {
        let mut e = slot(false, "lost", 0);
        let found = find(&e).unwrap();
        assert!(found.summary.starts_with("physical slot 'gone_replica' is lost"), "{}", found.summary);
        assert_eq!(
            (found.severity, found.remedies[0].remedy.as_str()),
            (Severity::Warning, "drop-lost-slot")
        );
        if let Some(query) = &mut e.front.query {
            query.outcome = crate::evidence::QueryOutcome::Alive("refused".into());
        }
        assert!(find(&e).is_none());
    }

    #[test]
    fn slot_retains_wal_though_it_is_active_only_when_far_behind() {
        assert!(find(&slot(true, "extended", 1_500)).is_none());
        let found = find(&slot(true, "extended", 5_000)).unwrap();
        assert!(found.remedies.iter().all(|r| r.remedy != "drop-verified-slot"));
        assert!(find(&slot(true, "unreserved", 10)).is_some());
    }
}
