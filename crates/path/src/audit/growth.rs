//! What grows and is looked at for a forecast: volumes, what slots keep, transaction age. Not in here: the line through
//! the looks ([`crate::forecast`]).

use crate::evidence::Evidence;
use crate::forecast::{Point, Subject, forecast};
use crate::paste::literal;
use crate::rooms::storage::volumes;
use pgmedic_model::{Forecast, Timestamp};
use serde::{Deserialize, Serialize};

/// Most slots that are forecast.
const SLOTS: usize = 10;
/// Ids until writes stop: half of the id space less the margin (varsup.c, since 14; wider than before).
const LAST_ID: u32 = 2_147_483_647 - 3_000_000;

/// One look at everything that grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What was seen.
    pub seen: Vec<Quantity>,
}

/// A quantity at one look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// What it is of: `data volume /data`.
    pub subject: String,
    /// `bytes`, `transactions`.
    pub unit: String,
    /// What it is when it ends: `full`.
    pub end: String,
    /// When it was seen.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
    /// Where it ends, where that was seen.
    pub limit: Option<f64>,
}

/// What a walk saw of what grows.
#[must_use]
pub fn look(e: &Evidence) -> Look {
    let mut seen = volumes_of(e);
    let limited = !seen.is_empty();
    seen.extend(slots(e));
    seen.extend(age(e));
    if !limited {
        seen.extend(database(e));
    }
    Look { seen }
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 52 bits")]
fn volumes_of(e: &Evidence) -> Vec<Quantity> {
    let all = volumes::shown(e);
    let one = |shown: &volumes::Shown<'_>| {
        let v = &*shown.view;
        let usable = v.total_bytes.saturating_sub(v.reserved_bytes);
        Quantity {
            subject: format!("{} volume {}", volumes::purpose(v), volumes::mount(v)),
            unit: "bytes".to_owned(),
            end: "full".to_owned(),
            at: shown.fact.at,
            value: usable.saturating_sub(v.available_bytes) as f64,
            limit: Some(usable as f64),
        }
    };
    all.iter().filter(|shown| shown.view.total_bytes > 0).map(one).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 52 bits")]
fn slots(e: &Evidence) -> Vec<Quantity> {
    let Some((facts, at, _)) = e.told() else { return Vec::new() };
    let free = volumes::of_wal(e).map(|v| v.available_bytes as f64);
    let cap = facts.storage.max_slot_wal_keep_bytes.map(|bytes| bytes as f64);
    let kept = facts.storage.slots.iter().filter(|s| s.wal_status.as_deref() != Some("lost"));
    let one = |(name, bytes): (&String, u64)| {
        let value = bytes as f64;
        let (limit, end) = match (cap, free) {
            (Some(cap), _) => (Some(cap), "beyond max_slot_wal_keep_size, and invalid,"),
            (None, free) => (free.map(|free| value + free), "all that the WAL's volume has"),
        };
        Quantity {
            subject: format!("WAL that slot {} keeps", literal(name)),
            unit: "bytes".to_owned(),
            end: end.to_owned(),
            at,
            value,
            limit,
        }
    };
    kept.filter_map(|s| Some((&s.name, s.retained_bytes?))).take(SLOTS).map(one).collect()
}

#[expect(clippy::cast_precision_loss, reason = "ages have 31 bits")]
fn age(e: &Evidence) -> Option<Quantity> {
    let (facts, at, _) = e.told()?;
    let (database, age) = facts.server.oldest_xid.as_ref()?;
    let due = facts.server.freeze_max_age;
    let (limit, end) = if due > 0 && *age < due {
        (due as f64, "due for a vacuum against wraparound")
    } else {
        (f64::from(LAST_ID), "out of transaction ids")
    };
    Some(Quantity {
        subject: format!("transaction age of database {}", literal(database)),
        unit: "transactions".to_owned(),
        end: end.to_owned(),
        at,
        value: *age as f64,
        limit: Some(limit),
    })
}

/// Where no volume is seen, the database alone says what grows.
#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 52 bits")]
fn database(e: &Evidence) -> Option<Quantity> {
    let (facts, at, _) = e.told()?;
    Some(Quantity {
        subject: format!("database {}", literal(&facts.me.database)),
        unit: "bytes".to_owned(),
        end: "full".to_owned(),
        at,
        value: facts.storage.database_bytes? as f64,
        limit: None,
    })
}

/// The forecast of each quantity of the last look, with what earlier looks saw of it.
#[must_use]
pub fn forecasts(e: &Evidence) -> Vec<Forecast> {
    let one = |now: &Quantity| {
        let before = e.earlier.iter().flat_map(|look| &look.seen).filter(|q| q.subject == now.subject);
        let points: Vec<Point> = before.chain([now]).map(|q| Point { at: q.at, value: q.value }).collect();
        let subject = Subject { name: &now.subject, unit: &now.unit, end: &now.end, limit: now.limit };
        forecast(subject, &points)
    };
    look(e).seen.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, with_facts};
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    #[test]
    fn a_volume_that_fills_is_forecast_over_its_looks() {
        let before = with_volumes(healthy(), vec![volume(10_000, 5_000)]);
        let mut first = look(&before);
        first.seen.iter_mut().for_each(|q| q.at.0 -= 60_000);
        let mut now = with_volumes(healthy(), vec![volume(10_000, 4_900)]);
        now.earlier = vec![first];
        let all = forecasts(&now);
        assert_eq!(all[0].subject, "data volume /data");
        let left =
            all[0].ends_at.unwrap().0 - (all[0].over_ms.0 as i64 + look(&before).seen[0].at.0 - 60_000);
        assert_eq!((left + 500) / 1000, 49 * 60, "4,900 MB at 100 MB a minute");
    }

    #[test]
    fn a_slot_ends_at_its_cap_or_with_the_volume_and_a_database_alone_nowhere() {
        let with_slot = |cap| {
            with_facts(|f| {
                f.storage.max_slot_wal_keep_bytes = cap;
                f.storage.database_bytes = Some(1 << 30);
                f.storage.slots = vec![crate::sql::facts::SlotView {
                    name: "r".into(),
                    retained_bytes: Some(100),
                    ..Default::default()
                }];
            })
        };
        let seen = look(&with_slot(Some(500))).seen;
        assert_eq!(
            (seen[0].limit, seen[1].limit, seen[1].subject.as_str()),
            (Some(500.0), None, "database 'renderflow'")
        );
        let e = with_volumes(with_slot(None), vec![volume(10_000, 4_000)]);
        assert_eq!(look(&e).seen[1].limit, Some(4_194_304_100.0));
    }
}
