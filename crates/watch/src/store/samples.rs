//! Which samples of what grows history keeps: one a minute of each service at the most, of as many subjects as are bounded,
//! dense at first and thinned with age. Pure but for the lock that the handle holds. Not in here: what grows
//! (`pgmedic_path::audit::growth`), where it is going (`pgmedic_path::forecast`), the tables.
//!
//! Each sample is put into a slot of a minute, one of ten minutes and one of an hour ([`TIERS`]). Of several in one slot the
//! highest stays: what a volume breathes up to is what must fit on it. So thinning needs no pass of its own, and each tier
//! is cut at its end alone. One subject has at most 660 rows.

use super::waiting::Waiting;
use crate::seen::{Kind, Seen};
use crate::tally::Names;
use pgmedic_model::Timestamp;
use pgmedic_path::audit::growth::{Quantity, Series, look};
use pgmedic_path::identity::of_the_front;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How densely samples of an age are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tier {
    /// The width of its slots, in ms.
    pub(super) step: i64,
    /// How long a slot is kept, in ms.
    pub(super) keep: i64,
}

impl Tier {
    /// The slot of a time.
    pub(super) const fn slot(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.step)
    }

    /// The oldest slot that is kept.
    pub(super) const fn oldest(self, now: Timestamp) -> i64 {
        self.slot(Timestamp(now.0.saturating_sub(self.keep)))
    }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The finest first: a minute for three hours, ten minutes for a day, an hour for two weeks.
pub(super) const TIERS: [Tier; 3] = [
    Tier { step: MINUTE, keep: 3 * HOUR },
    Tier { step: 10 * MINUTE, keep: DAY },
    Tier { step: HOUR, keep: 14 * DAY },
];
/// How coarsely it is noted when a subject was last seen, in ms: not at each sample.
pub(super) const NOTED: i64 = HOUR;
/// A subject that was not seen for so long has no samples, in ms.
pub(super) const GONE: i64 = 14 * DAY + 2 * HOUR;
/// The subjects of one service in any hour, the first that were seen; a slot that is new at each look is none of them.
const SUBJECTS: usize = 32;
/// The most points of a subject that are told, and how many of them are the latest, whole.
const TOLD: usize = 200;
const WHOLE: usize = 80;

/// One sample of one subject.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) service: Arc<str>,
    /// The `system_identifier` of the server that answered; empty where that was not told.
    pub(super) server: Arc<str>,
    /// [`Quantity::key`].
    pub(super) subject: String,
    pub(super) unit: String,
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

/// Samples that are to be written.
#[derive(Debug, Default)]
pub(super) struct Samples {
    last: HashMap<Arc<str>, (Timestamp, Names<SUBJECTS>)>,
    pub(super) waiting: Waiting<Sample>,
}

impl Samples {
    /// Takes what a walk saw, where that is due. A look through the standing session is none: it does not see all of it.
    pub(super) fn take(&mut self, seen: &Seen) {
        if seen.kind != Kind::Walk {
            return;
        }
        let fresh = || (Timestamp(i64::MIN), Names::default());
        let (last, names) = self.last.entry(Arc::clone(&seen.service)).or_insert_with(fresh);
        if (0..MINUTE).contains(&seen.at.0.saturating_sub(last.0)) {
            return;
        }
        *last = seen.at;
        let look = look(&seen.evidence);
        names.take(seen.at, look.seen.iter().map(Quantity::key));
        let server: Arc<str> = of_the_front(&seen.evidence).unwrap_or_default().into();
        for q in look.seen.into_iter().filter(|q| q.value.is_finite() && names.has(q.key())) {
            self.waiting.push(Sample {
                service: Arc::clone(&seen.service),
                server: Arc::clone(&server),
                subject: q.key().to_owned(),
                unit: q.unit,
                at: q.at,
                value: q.value,
            });
        }
    }

    /// Those that wait, to be written.
    pub(super) fn drain(&mut self, now: Timestamp) -> Vec<Sample> {
        self.last.retain(|_, (at, _)| now.0.saturating_sub(at.0) < HOUR);
        self.waiting.drain()
    }
}

/// A sample as it comes out of a tier.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) unit: String,
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

/// What the tiers hold, the finest first, as one series of each subject: each tier tells of the time before the finer ones. At
/// most [`TOLD`] points, the latest whole, of the older ones the highest of each few.
pub(super) fn series(tiers: Vec<Vec<Row>>) -> Vec<Series> {
    let mut all: BTreeMap<(String, String), Vec<(Timestamp, f64)>> = BTreeMap::new();
    for mut rows in tiers {
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        let oldest: BTreeMap<_, _> =
            all.iter().filter_map(|(key, points)| Some((key.clone(), points.last()?.0))).collect();
        for row in rows {
            let key = (row.subject, row.unit);
            if oldest.get(&key).is_none_or(|at| row.at < *at) {
                all.entry(key).or_default().push((row.at, row.value));
            }
        }
    }
    let one = |((key, unit), points)| Series { key, unit, points: thinned(points) };
    all.into_iter().map(one).collect()
}

/// Takes them the latest first, gives them the oldest first.
fn thinned(mut points: Vec<(Timestamp, f64)>) -> Vec<(Timestamp, f64)> {
    let older = points.split_off(points.len().min(WHOLE));
    let each = older.len().div_ceil(TOLD - WHOLE).max(1);
    let highest = |few: &[(Timestamp, f64)]| few.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.extend(older.chunks(each).filter_map(highest));
    points.reverse();
    points
}
