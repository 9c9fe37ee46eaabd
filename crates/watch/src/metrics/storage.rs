//! Volumes, what fills them and until when; the database's size; replication slots.

use super::page::Page;
use super::{Reading, Row, t};
use crate::forecast::Forecast;
use crate::tally::{Names, volumes};
use pgmedic_path::platform::evidence::VolumeView;
use pgmedic_path::sql::facts::StorageFacts;

pub(super) fn write(page: &mut Page, rows: &[Row<'_>]) {
    let shown: Vec<(&Row<'_>, String, &VolumeView)> = rows
        .iter()
        .flat_map(|row| {
            let list = row.first(|e| Some(volumes(e)).filter(|list| !list.is_empty()));
            list.unwrap_or_default().into_iter().map(move |(volume, view)| (row, volume, view))
        })
        .collect();
    figures(page, &shown);
    forecasts(page, &shown);
    of_facts(page, rows);
}

#[expect(clippy::cast_precision_loss, reason = "a volume's bytes are below 2^53")]
fn figures(page: &mut Page, shown: &[(&Row<'_>, String, &VolumeView)]) {
    let readings: [Reading<VolumeView>; 5] = [
        (&t::STORAGE_SIZE, |v| Some(v.total_bytes.saturating_sub(v.reserved_bytes) as f64)),
        (&t::STORAGE_FREE, |v| Some(v.available_bytes as f64)),
        (&t::STORAGE_INODES, |v| Some(v.total_inodes as f64).filter(|n| *n > 0.0)),
        (&t::STORAGE_INODES_FREE, |v| (v.total_inodes > 0).then_some(v.available_inodes as f64)),
        (&t::STORAGE_READ_ONLY, |v| Some(u8::from(v.read_only).into())),
    ];
    for (family, reading) in readings {
        page.family(family);
        for (row, volume, view) in shown {
            if let Some(n) = reading(view) {
                page.sample(&row.label, &[("volume", volume)], n);
            }
        }
    }
    page.family(&t::STORAGE_HELD);
    for (row, volume, view) in shown {
        for (held, bytes) in view.held.iter().take(8) {
            page.sample(&row.label, &[("volume", volume), ("held", held)], *bytes);
        }
    }
}

fn forecasts(page: &mut Page, shown: &[(&Row<'_>, String, &VolumeView)]) {
    let told: Vec<(&str, &str, Forecast)> = shown
        .iter()
        .filter_map(|(row, volume, _)| {
            let forecast = row.patient.tally.volumes.get(volume)?.forecast()?;
            Some((row.label.as_str(), volume.as_str(), forecast))
        })
        .collect();
    let readings: [Reading<Forecast>; 4] = [
        (&t::STORAGE_GROWTH, |f| Some(f.slope)),
        (&t::STORAGE_FULL, |f| Some(f.full_s)),
        (&t::STORAGE_FULL_SOONEST, |f| Some(f.soonest_s)),
        (&t::STORAGE_FULL_LATEST, |f| Some(f.latest_s)),
    ];
    for (family, reading) in readings {
        page.family(family);
        for (label, volume, forecast) in &told {
            if let Some(value) = reading(forecast) {
                page.sample(label, &[("volume", volume)], value);
            }
        }
    }
}

fn of_facts(page: &mut Page, rows: &[Row<'_>]) {
    page.family(&t::DATABASE_SIZE);
    for row in rows {
        if let Some(bytes) = row.first(|e| e.facts()?.storage.database_bytes) {
            page.sample(&row.label, &[], bytes);
        }
    }
    page.family(&t::TEMP_BYTES);
    for row in rows {
        if let Some(facts) = row.facts.filter(|f| f.version_num >= 150_000) {
            page.sample(&row.label, &[], facts.storage.temp_bytes);
        }
    }
    page.family(&t::SLOT_RETAINED);
    for (row, storage) in with_slots(rows) {
        for (slot, retained, _) in slots(row, storage) {
            if let Some(bytes) = retained {
                page.sample(&row.label, &[("slot", slot)], bytes);
            }
        }
    }
    page.family(&t::SLOT_ACTIVE);
    for (row, storage) in with_slots(rows) {
        for (slot, _, active) in slots(row, storage) {
            page.sample(&row.label, &[("slot", slot)], active);
        }
    }
}

fn with_slots<'r, 's>(rows: &'r [Row<'s>]) -> impl Iterator<Item = (&'r Row<'s>, &'s StorageFacts)> {
    rows.iter().filter_map(|row| Some((row, row.facts.map(|f| &f.storage).filter(|s| !s.slots.is_empty())?)))
}

/// Label, the most that is retained, whether each is active.
fn slots<'s>(row: &Row<'s>, storage: &'s StorageFacts) -> Vec<(&'s str, Option<u64>, bool)> {
    let mut list: Vec<(&str, Option<u64>, bool)> = Vec::new();
    for slot in &storage.slots {
        let label = row.patient.tally.slots.label(&slot.name);
        match list.iter_mut().find(|(known, ..)| *known == label) {
            Some((_, most, all)) => {
                *most = (*most).max(slot.retained_bytes);
                *all &= slot.active;
            }
            None => list.push((label, slot.retained_bytes, slot.active)),
        }
    }
    debug_assert!(list.iter().filter(|(l, ..)| *l == Names::<0>::REST).count() <= 1);
    list
}
