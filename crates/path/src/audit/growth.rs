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
    /// What tells it from others, however closely was looked: of a volume the folder that is on it, for only a thorough look
    /// knows where it is mounted. Empty where that is the subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
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

impl Quantity {
    /// What tells it from others.
    #[must_use]
    pub fn key(&self) -> &str {
        if self.key.is_empty() { &self.subject } else { &self.key }
    }
}

/// What the daemon saw of one quantity before, as far as its history keeps that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is of: [`Quantity::key`].
    pub key: String,
    /// `bytes`, `transactions`.
    pub unit: String,
    /// When, and how much, the oldest first.
    pub points: Vec<(Timestamp, f64)>,
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
            key: if v.path.is_empty() {
                String::new()
            } else {
                format!("{} volume at {}", volumes::purpose(v), v.path)
            },
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
            key: String::new(),
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
        key: String::new(),
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
        key: String::new(),
        unit: "bytes".to_owned(),
        end: "full".to_owned(),
        at,
        value: facts.storage.database_bytes? as f64,
        limit: None,
    })
}

/// The forecast of each quantity of the last look, with what the daemon and earlier looks saw of it.
#[must_use]
pub fn forecasts(e: &Evidence) -> Vec<Forecast> {
    look(e).seen.iter().filter_map(|now| of(e, now)).collect()
}

fn of(e: &Evidence, now: &Quantity) -> Option<Forecast> {
    let point = |q: &Quantity| Point { at: q.at, value: q.value };
    let own = e.earlier.iter().flat_map(|look| &look.seen).filter(|q| q.key() == now.key()).map(point);
    let own: Vec<Point> = own.filter(|p| p.at < now.at).chain([point(now)]).collect();
    let first = own.first().map_or(now.at, |p| p.at);
    // Another clock's times may lie after these.
    let of_watch = e.history.iter().filter(|series| series.key == now.key() && series.unit == now.unit);
    let of_watch = of_watch.flat_map(|series| &series.points).filter(|(at, _)| *at < first);
    let mut points: Vec<Point> = of_watch.map(|(at, value)| Point { at: *at, value: *value }).collect();
    let theirs = points.len();
    points.extend(own);
    // The line through them takes them in the order of their times.
    points.sort_by_key(|p| p.at);
    let subject = Subject { name: &now.subject, unit: &now.unit, end: &now.end, limit: now.limit };
    let mut told = forecast(subject, &points)?;
    let left_out = points.len() - usize::try_from(told.looks).unwrap_or(0);
    told.watch_looks = theirs.saturating_sub(left_out) as u64;
    told.rests_on = rests_on(&told);
    Some(told)
}

/// `3.0 days of watch's history, 214 looks, and this one`; `9 looks over 60 s`.
fn rests_on(told: &Forecast) -> String {
    let (over, own) = (told.over_ms, told.looks - told.watch_looks);
    match (told.watch_looks, own) {
        (0, 1) => "one look".to_owned(),
        (0, own) => format!("{own} looks over {over}"),
        (theirs, 1) => format!("{over} of watch's history, {}, and this one", looks(theirs)),
        (theirs, own) => format!("{over} of watch's history, {}, and {own} of this audit", looks(theirs)),
    }
}

fn looks(many: u64) -> String {
    if many == 1 { "one look".to_owned() } else { format!("{many} looks") }
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

    /// A volume with this much left, and how watch saw it each minute of two hours before: less by so many MB each.
    fn watched(left_mb: u64, mb_a_minute: u64) -> Evidence {
        let mut now = with_volumes(healthy(), vec![volume(100_000, left_mb)]);
        let seen = look(&now).seen.remove(0);
        let before = |back: u64| {
            let used = seen.value - (back * mb_a_minute * 1_048_576) as f64;
            (Timestamp(seen.at.0 - 60_000 * i64::try_from(back).unwrap()), used)
        };
        now.history = vec![Series {
            key: seen.key().to_owned(),
            unit: seen.unit.clone(),
            points: (1..=120).rev().map(before).collect(),
        }];
        now
    }

    #[test]
    fn what_watch_saw_is_told_from_without_another_look_and_it_says_so() {
        let f = forecasts(&watched(48_000, 100)).remove(0);
        assert_eq!((f.looks, f.watch_looks), (121, 120));
        assert_eq!(f.rests_on, "2.0 h of watch's history, 120 looks, and this one");
        assert!(
            f.says.starts_with("full on ") && f.confidence == Some(pgmedic_model::Confidence::Likely),
            "{f:?}"
        );
        let mut other = watched(48_000, 100);
        other.history[0].key = "data volume at /other".to_owned();
        let f = forecasts(&other).remove(0);
        assert_eq!((f.says.as_str(), f.rests_on.as_str()), ("one look tells no rate", "one look"));
    }

    #[test]
    fn looks_of_the_audit_come_after_watchs_and_times_of_another_clock_are_left_out() {
        let mut e = watched(48_000, 100);
        let mut first = look(&e);
        first.seen.iter_mut().for_each(|q| q.at.0 -= 30_000);
        let at = first.seen[0].at;
        e.earlier = vec![first];
        e.history[0].points.extend([(Timestamp(at.0 + 1), 0.0), (Timestamp(at.0 + 9_000_000), 0.0)]);
        let f = forecasts(&e).remove(0);
        assert_eq!((f.looks, f.watch_looks), (122, 120));
        assert_eq!(f.rests_on, "2.0 h of watch's history, 120 looks, and 2 of this audit");
    }

    #[test]
    fn a_volume_is_the_same_whether_its_mount_was_looked_for_or_not() {
        let of = |mount: Option<&str>| {
            let mut view = volume(10_000, 5_000);
            view.mount = mount.map(str::to_owned);
            look(&with_volumes(healthy(), vec![view])).seen.remove(0)
        };
        let (glanced, thorough) = (of(None), of(Some("/mnt/pg")));
        assert_ne!(glanced.subject, thorough.subject);
        assert_eq!(glanced.key(), thorough.key());
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
