//! Which looks tell the rate: all of them, or only the last, where growth has changed. The same rule for an audit's looks and
//! for the daemon's windows: a short window speaks for itself only in new territory, for WAL that grows to its usual height
//! and is recycled there is breathing, and the fewer its looks the less far it sees ([`REACH`]).

use super::{FEWEST, Growth, Point, REACH, YEAR_MS, growth, slope};

/// The most looks of one window, evenly over its time: where the last hour is dense it would else outvote the days.
const MOST: i64 = 64;
/// Growth has changed where the least of the new is so many times the greatest of the old.
const CHANGED: f64 = 1.1;

/// What a window of looks lets expect of something that ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Growth in units a second; negative where it shrinks.
    pub slope: f64,
    /// Seconds until it is full, at that growth; infinite where it is sure not to grow.
    pub full_s: f64,
    /// The same at the greatest growth that the looks allow for, at 95 %.
    pub soonest_s: f64,
    /// The same at the least.
    pub latest_s: f64,
}

impl Outlook {
    /// Of a growth that was seen for so many seconds, with so much left. None where nothing can be said: a growth that may as
    /// well be none, or an end further off than [`REACH`] times what was seen.
    #[must_use]
    pub fn of(Growth { low, slope, high }: Growth, left: f64, seen_s: f64) -> Option<Self> {
        if low <= 0.0 && high > 0.0 {
            return None;
        }
        let full = |growth: f64| if growth > 0.0 { left / growth } else { f64::INFINITY };
        let full_s = full(slope);
        (full_s.is_infinite() || full_s <= seen_s * REACH).then(|| Self {
            slope,
            full_s,
            soonest_s: full(high),
            latest_s: full(low),
        })
    }
}

/// How often before it was as much as that: 0 in new territory, 1 where it came down once, more where it breathes.
#[must_use]
pub fn times_as_high(before: impl IntoIterator<Item = f64>, much: f64) -> usize {
    let (mut times, mut is_high) = (0, false);
    for value in before {
        times += usize::from(value >= much && !is_high);
        is_high = value >= much;
    }
    times
}

/// The looks that tell the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regime<'p> {
    /// They, the oldest first.
    pub(super) points: &'p [Point],
    /// The median slope, in units a second.
    pub(super) slope: f64,
    /// Of eight looks or more.
    pub(super) growth: Option<Growth>,
    /// How often before them it was as much as now. 0 where they are all that there are.
    pub(super) as_high: usize,
    /// How long it has hardly grown any more, in ms, where that is a good part of them.
    pub(super) still_ms: Option<f64>,
}

impl Regime<'_> {
    /// True where it ends at this growth within a year, `left` being what is left of it.
    fn ends(&self, left: f64) -> bool {
        let grows = self.slope > 0.0 && self.growth.is_none_or(|g| g.low > 0.0);
        grows && left / self.slope * 1000.0 <= YEAR_MS
    }
}

/// The looks that tell the rate, of looks in the order of their times. None of fewer than two.
///
/// All of them, unless the last of them grew surely faster: the halves, quarters and so on of their time are asked, as long as
/// they have eight looks. What a short one says of a time further off than [`REACH`] counts only where else nothing ends.
pub(super) fn regime(points: &[Point], left: f64) -> Option<Regime<'_>> {
    let all = evenly(points);
    let whole = Regime { points, slope: slope(&all)?, growth: growth(&all), as_high: 0, still_ms: None };
    let (mut speaks, mut still_ms) = (whole, None);
    for (since, recent) in tails(points) {
        let Some(its) = growth(&evenly(recent)) else { continue };
        if its.slope <= 0.0 && still_ms.is_none() && since * 8.0 >= span_ms(points) {
            still_ms = Some(span_ms(recent));
        }
        let before = speaks.growth.map_or(speaks.slope, |g| g.high).max(0.0);
        let reaches = Outlook::of(its, left, span_ms(recent) / 1000.0).is_some();
        if its.low <= before * CHANGED || (!reaches && speaks.ends(left)) {
            continue;
        }
        let earlier = points.iter().take(points.len() - recent.len()).map(|p| p.value);
        // At the trough of a breath all before was higher: what counts is how high this one came.
        let as_high = times_as_high(earlier, recent.iter().map(|p| p.value).fold(f64::MIN, f64::max));
        if as_high <= 1 {
            speaks = Regime { points: recent, slope: its.slope, growth: Some(its), as_high, still_ms: None };
        }
    }
    // Of two windows the faster one is the later: what follows it has not stood still.
    speaks.still_ms = still_ms.filter(|_| speaks.points.len() == points.len());
    Some(speaks)
}

/// The last looks of half of the time, of a quarter, and so on, each with that time in ms.
fn tails(points: &[Point]) -> impl Iterator<Item = (f64, &[Point])> {
    let mut since = span_ms(points);
    let end = points.last().map_or(0, |p| p.at.0);
    let mut size = points.len();
    std::iter::from_fn(move || {
        loop {
            since /= 2.0;
            let recent = points.get(points.partition_point(|p| ms(end - p.at.0) > since)..)?;
            if recent.len() < FEWEST || since < 1.0 {
                return None;
            }
            if recent.len() < size {
                size = recent.len();
                return Some((since, recent));
            }
        }
    })
}

/// At most [`MOST`] of them, as evenly over their time as they lie; the last is one of them.
fn evenly(points: &[Point]) -> Vec<Point> {
    let Some((first, last)) = points.first().zip(points.last()) else { return Vec::new() };
    let step = (last.at.0 - first.at.0) / (MOST - 1);
    let mut next = i64::MAX;
    let mut kept: Vec<Point> = Vec::new();
    for point in points.iter().rev() {
        if point.at.0 <= next {
            kept.push(*point);
            next = point.at.0 - step;
        }
    }
    kept.reverse();
    kept
}

/// From the first look to the last, in ms.
pub(super) fn span_ms(points: &[Point]) -> f64 {
    points.first().zip(points.last()).map_or(0.0, |(first, last)| ms(last.at.0 - first.at.0))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds between looks")]
const fn ms(between: i64) -> f64 {
    between as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Subject, forecast};
    use super::*;
    use pgmedic_model::{Confidence, Forecast, Timestamp};

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const FORTNIGHT: i64 = 14 * DAY;
    const GB: f64 = 1e9;
    /// The volume's size.
    const SIZE: f64 = 100.0 * GB;

    /// The looks of a fortnight as history keeps them: the highest of each hour, in the last day of each ten minutes, and
    /// those of each minute in the last three hours.
    fn looks(used: impl Fn(i64) -> f64) -> Vec<Point> {
        let highest = |from: i64, minutes: i64| {
            let of = (0..minutes).map(|m| Timestamp(from + m * MINUTE));
            let points = of.map(|at| Point { at, value: used(at.0) });
            points.max_by(|a, b| a.value.total_cmp(&b.value).then(b.at.cmp(&a.at))).unwrap()
        };
        let hours = (0..FORTNIGHT - DAY).step_by(3_600_000).map(|from| highest(from, 60));
        let day = (FORTNIGHT - DAY..FORTNIGHT - 3 * HOUR).step_by(600_000).map(|from| highest(from, 10));
        let minutes = (FORTNIGHT - 3 * HOUR..=FORTNIGHT).step_by(60_000).map(|from| highest(from, 1));
        hours.chain(day).chain(minutes).collect()
    }

    fn of(used: impl Fn(i64) -> f64) -> Forecast {
        let subject = Subject { name: "v", unit: "bytes", end: "full", limit: Some(SIZE) };
        forecast(subject, &looks(used)).unwrap()
    }

    /// So many bytes a second since then.
    fn since(then: i64, at: i64, per_second: f64) -> f64 {
        (ms(at - then) / 1000.0).max(0.0) * per_second
    }

    /// Noise that is the same each time: less than 1 MB.
    fn noise(at: i64) -> f64 {
        ms(((at / 1000).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()) >> 44).abs())
    }

    fn left_h(f: &Forecast) -> Option<f64> {
        f.ends_at.map(|at| ms(at.0 - FORTNIGHT) / 3_600_000.0)
    }

    #[test]
    fn a_steady_fortnight_is_told_from_all_of_it_and_hits() {
        let f = of(|at| 50.0 * GB + since(0, at, 30_000.0) + noise(at));
        let truth = (50.0 * GB - since(0, FORTNIGHT, 30_000.0)) / 30_000.0 / 3600.0;
        assert!((left_h(&f).unwrap() / truth - 1.0).abs() < 0.01, "{f:?}");
        assert_eq!((f.looks, f.confidence), (looks(|_| 0.0).len() as u64, Some(Confidence::Likely)));
        assert!(!f.says.contains("only"), "{}", f.says);
    }

    #[test]
    fn one_steep_hour_after_a_flat_fortnight_is_what_counts_and_it_says_so() {
        let steep = FORTNIGHT - HOUR;
        for (quiet, what) in [(0.0, "flat"), (1.0, "noisy")] {
            let f = of(|at| 50.0 * GB + quiet * noise(at) + since(steep, at, 2e6));
            let truth = (50.0 * GB - 3600.0 * 2e6) / 2e6 / 3600.0;
            assert!((left_h(&f).unwrap() / truth - 1.0).abs() < 0.1, "{what}: {f:?}");
            assert_eq!(f.confidence, Some(Confidence::Likely), "{what}: {f:?}");
            assert!(f.over_ms.0 < 2.0 * ms(HOUR), "{what}: {f:?}");
            assert!(
                f.says.contains(", so only in the last ") && f.says.contains(" of 14.0 days"),
                "{}",
                f.says
            );
        }
    }

    #[test]
    fn ten_steep_minutes_are_seen_and_a_slow_hour_is_no_more_than_possible() {
        let f = of(|at| 90.0 * GB + since(FORTNIGHT - 10 * MINUTE, at, 10e6));
        assert!((left_h(&f).unwrap() - 4e9 / 10e6 / 3600.0).abs() < 0.02, "{f:?}");
        let f = of(|at| 50.0 * GB + since(FORTNIGHT - HOUR, at, 100_000.0));
        assert_eq!(f.confidence, Some(Confidence::Possible), "it ends in six days: {f:?}");
        assert!(f.says.contains("says little of so long a time"), "{}", f.says);
    }

    #[test]
    fn a_rate_that_doubled_four_days_ago_is_the_rate_of_now() {
        let turn = FORTNIGHT - 4 * DAY;
        let f = of(|at| 40.0 * GB + since(0, at, 10_000.0) + since(turn, at, 20_000.0) + noise(at));
        assert!((f.per_second.unwrap() / 30_000.0 - 1.0).abs() < 0.05, "{f:?}");
        assert!(f.says.contains(", so only in the last 3.5 days of 14.0 days"), "{}", f.says);
    }

    #[test]
    fn wal_that_breathes_is_no_runaway_at_any_time_of_its_breath() {
        for minutes in (0..180).step_by(7) {
            // Three hours up by 20 GB, then recycled.
            let f = of(|at| 40.0 * GB + ms((at + minutes * MINUTE) % (3 * HOUR)) / ms(3 * HOUR) * 20.0 * GB);
            assert!(left_h(&f).is_none_or(|h| h > 24.0 * 14.0), "{minutes}: {f:?}");
        }
    }

    #[test]
    fn what_was_cleaned_up_once_and_fills_again_is_possible() {
        let cleaned = FORTNIGHT - 2 * DAY;
        let used = |at: i64| {
            if at < cleaned {
                60.0 * GB + since(0, at, 30_000.0)
            } else {
                20.0 * GB + since(cleaned, at, 100_000.0)
            }
        };
        let f = of(used);
        let truth = (SIZE - used(FORTNIGHT)) / 100_000.0 / 3600.0;
        assert!((left_h(&f).unwrap() / truth - 1.0).abs() < 0.01, "{f:?}");
        assert_eq!(f.confidence, Some(Confidence::Possible));
        assert!(f.says.contains("it was as much before, and came down"), "{}", f.says);
    }

    #[test]
    fn what_grew_and_stands_still_now_is_told_with_that() {
        let f = of(|at| 50.0 * GB + since(0, at.min(FORTNIGHT - 3 * DAY), 30_000.0));
        assert_eq!(f.confidence, Some(Confidence::Possible), "{f:?}");
        assert!(f.says.contains("; in the last 3.5 days it hardly grew"), "{}", f.says);
    }

    #[test]
    fn a_flat_fortnight_did_not_grow() {
        let f = of(|_| 50.0 * GB);
        assert_eq!((f.says.as_str(), f.ends_at), ("did not grow in 14.0 days", None));
        let f = of(|at| 50.0 * GB + noise(at));
        assert_eq!(f.ends_at, None, "{f:?}");
    }

    #[test]
    fn times_as_high_counts_visits_and_not_looks() {
        assert_eq!(times_as_high([1.0, 2.0, 3.0], 4.0), 0);
        assert_eq!(times_as_high([5.0, 6.0, 3.0], 4.0), 1);
        assert_eq!(times_as_high([5.0, 3.0, 4.0, 4.0, 1.0], 4.0), 2);
    }
}
