//! Where a quantity that grows is going: a line through looks at it, when that line ends, and how sure that is. Pure, and
//! of no particular quantity: an audit asks with its looks, the daemon with its history.

mod regime;

pub use regime::{Outlook, times_as_high};

use pgmedic_model::{Confidence, Forecast, Ms, Timestamp};
use regime::{Regime, regime, span_ms};

/// One look at a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
}

/// What is forecast, and in which words.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What grows: `data volume /data`.
    pub name: &'a str,
    /// The unit: `bytes`, `transactions`.
    pub unit: &'a str,
    /// What it is when it ends: `full`, `beyond its cap`.
    pub end: &'a str,
    /// Where it ends. None where that is not seen.
    pub limit: Option<f64>,
}

/// Growth in units a second: the median of the slopes between all pairs of looks (Theil and Sen), which a third of wild
/// looks does not move, and Sen's interval at 95 % (Sen 1968, by Kendall's variance).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// The least that the looks allow for.
    pub low: f64,
    /// The median.
    pub slope: f64,
    /// The greatest.
    pub high: f64,
}

/// The fewest looks that have an interval: of fewer, Sen's has no ends.
pub const FEWEST: usize = 8;
/// No further into the future than so many times what was seen is a forecast more than possible.
pub const REACH: f64 = 30.0;
/// Beyond this it says "not within a year".
const YEAR_MS: f64 = 366.0 * 86_400_000.0;
/// The standard normal's 97.5 % quantile.
const Z: f64 = 1.96;

/// The slopes between all pairs of looks that have time between them.
#[expect(clippy::cast_precision_loss, reason = "milliseconds between looks")]
fn slopes(points: &[Point]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (i, a) in points.iter().enumerate() {
        for b in points.iter().skip(i + 1).filter(|b| b.at != a.at) {
            slopes.push((b.value - a.value) / ((b.at.0 - a.at.0) as f64 / 1000.0));
        }
    }
    slopes
}

/// The growth of looks in the order of their times. None of fewer than [`FEWEST`].
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of looks")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks among the pairs of a few looks"
)]
pub fn growth(points: &[Point]) -> Option<Growth> {
    let mut slopes = slopes(points);
    if points.len() < FEWEST || slopes.is_empty() {
        return None;
    }
    let (pairs, n) = (slopes.len(), points.len() as f64);
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let rank = |r: f64| (r.max(0.0) as usize).min(pairs - 1);
    let mut at = |rank: usize| *slopes.select_nth_unstable_by(rank, f64::total_cmp).1;
    Some(Growth {
        low: at(rank((pairs as f64 - spread) / 2.0)),
        slope: at(pairs / 2),
        high: at(rank((pairs as f64 + spread) / 2.0)),
    })
}

/// The median slope of however few looks. None of fewer than two.
fn slope(points: &[Point]) -> Option<f64> {
    let mut slopes = slopes(points);
    let middle = slopes.len() / 2;
    (!slopes.is_empty()).then(|| *slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// The forecast of looks in the order of their times, from all of them or from the last, where growth has changed. None
/// without any look. What the looks are (`watch_looks`, `rests_on`) is whoever asks to say.
#[must_use]
pub fn forecast(subject: Subject<'_>, points: &[Point]) -> Option<Forecast> {
    let last = points.last()?;
    let mut told = Forecast {
        subject: subject.name.to_owned(),
        unit: subject.unit.to_owned(),
        value: last.value,
        limit: subject.limit,
        per_second: None,
        looks: points.len() as u64,
        watch_looks: 0,
        over_ms: Ms(span_ms(points)),
        rests_on: String::new(),
        ends_at: None,
        between: None,
        confidence: None,
        says: "one look tells no rate".to_owned(),
    };
    let left = subject.limit.map_or(f64::INFINITY, |limit| limit - last.value);
    let Some(regime) = regime(points, left) else { return Some(told) };
    told.per_second = Some(regime.slope);
    told.looks = regime.points.len() as u64;
    told.over_ms = Ms(span_ms(regime.points));
    told.says = if regime.slope <= 0.0 {
        format!("did not grow in {}", told.over_ms)
    } else if regime.growth.is_some_and(|growth| growth.low <= 0.0) {
        format!("grew too unevenly in {} for a rate", told.over_ms)
    } else if subject.limit.is_none() {
        let only = only(&regime, points);
        format!("grows {}{only}; where that ends is not seen", pace(subject.unit, regime.slope))
    } else {
        ends(&mut told, subject, left, &regime, points)
    };
    Some(told)
}

/// That it grew so only of late, where it did.
fn only(regime: &Regime<'_>, points: &[Point]) -> String {
    if regime.points.len() == points.len() {
        return String::new();
    }
    let (late, all) = (Ms(span_ms(regime.points)), Ms(span_ms(points)));
    let before = if regime.as_high > 0 { "; it was as much before, and came down" } else { "" };
    format!(", so only in the last {late} of {all}{before}")
}

/// When it ends at this rate, in words; fills in the rest. `left` is what is left of it.
fn ends(
    told: &mut Forecast,
    subject: Subject<'_>,
    left: f64,
    regime: &Regime<'_>,
    points: &[Point],
) -> String {
    let now = points.last().map_or_else(Timestamp::default, |point| point.at);
    let ends = |rate: f64| (left / rate * 1000.0).max(0.0);
    let (in_ms, interval) = (ends(regime.slope), regime.growth);
    let pace = pace(subject.unit, regime.slope) + &only(regime, points);
    if in_ms > YEAR_MS {
        return format!("not {} within a year at this rate ({pace})", subject.end);
    }
    let then = now.plus(Ms(in_ms));
    told.ends_at = Some(then);
    told.between = interval.map(|g| (now.plus(Ms(ends(g.high))), now.plus(Ms(ends(g.low).min(YEAR_MS)))));
    let steady = interval.is_some_and(|growth| growth.high - growth.low < growth.slope / 2.0);
    let far = in_ms > told.over_ms.0 * REACH;
    let doubt = match (interval, regime.still_ms) {
        _ if far => format!("; {} of looking says little of so long a time", told.over_ms),
        (_, Some(still)) => format!("; in the last {} it hardly grew", Ms(still)),
        (None, _) if points.len() < FEWEST => format!("; by {} looks only", told.looks),
        (None, _) => "; its looks are few and far between".to_owned(),
        (Some(_), None) if !steady => "; it grew unevenly".to_owned(),
        (Some(_), None) => String::new(),
    };
    let is_likely = doubt.is_empty() && regime.as_high == 0;
    told.confidence = Some(if is_likely { Confidence::Likely } else { Confidence::Possible });
    format!("{} {} at this rate ({pace}{doubt})", subject.end, when(now, then))
}

/// `1.2 MB/s`, `300 transactions/s`.
fn pace(unit: &str, per_second: f64) -> String {
    if unit != "bytes" {
        return format!("{per_second:.1} {unit}/s");
    }
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut value, mut at) = (per_second, 0);
    while value >= 1000.0 && at + 1 < units.len() {
        value /= 1000.0;
        at += 1;
    }
    if value < 10.0 { format!("{value:.1} {}/s", units[at]) } else { format!("{value:.0} {}/s", units[at]) }
}

/// A time ahead, no finer than it can be known: `in about 12 min, at 14:07 UTC`, `on Thursday about 14:00 UTC`, `about 4
/// December`.
#[must_use]
pub fn when(now: Timestamp, then: Timestamp) -> String {
    const MINUTE: i64 = 60_000;
    const DAY: i64 = 86_400_000;
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let left = (then.0 - now.0).max(0);
    // To a 24th of what is left, in steps that a clock has.
    let step = [1, 5, 15, 60].into_iter().find(|m| m * MINUTE * 24 >= left).unwrap_or(60) * MINUTE;
    let rounded = Timestamp((then.0 + step / 2).div_euclid(step) * step);
    let text = rounded.to_string();
    let clock = text.get(11..16).unwrap_or_default();
    let number = |range| text.get(range).and_then(|t: &str| t.parse::<usize>().ok()).unwrap_or(1);
    let (month, day) = (MONTHS[(number(5..7) - 1).min(11)], number(8..10));
    let weekday = usize::try_from(rounded.0.div_euclid(DAY).rem_euclid(7)).map_or("", |at| DAYS[at]);
    if left < MINUTE {
        "within a minute".to_owned()
    } else if left < 90 * MINUTE {
        format!("in about {} min, at {clock} UTC", (left + MINUTE / 2) / MINUTE)
    } else if left < 6 * DAY {
        format!("on {weekday} about {clock} UTC")
    } else if left < 60 * DAY {
        format!("about {day} {month}")
    } else {
        format!("in {month} {}", text.get(..4).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 2026-11-23 03:12:09 UTC.
    const NOW: i64 = 1_795_403_529_000;

    fn subject(limit: Option<f64>) -> Subject<'static> {
        Subject { name: "data volume /data", unit: "bytes", end: "full", limit }
    }

    /// A look every 15 s.
    fn looks(values: &[f64]) -> Vec<Point> {
        let at = |i: usize| Timestamp(NOW + 15_000 * i64::try_from(i).unwrap());
        values.iter().enumerate().map(|(i, value)| Point { at: at(i), value: *value }).collect()
    }

    /// Nine looks, from 100 on, with so much from one to the next and what is added to it.
    fn nine(step: f64, uneven: [f64; 9]) -> Vec<Point> {
        let values: Vec<f64> = uneven.iter().zip(0..).map(|(u, i)| 100.0 + step * f64::from(i) + u).collect();
        looks(&values)
    }

    #[test]
    fn a_steady_rate_ends_when_arithmetic_says() {
        let f = forecast(subject(Some(1000.0)), &nine(15.0, [0.0; 9])).unwrap();
        assert_eq!(f.ends_at, Some(Timestamp(NOW + 120_000 + 780_000)));
        assert_eq!(f.confidence, Some(Confidence::Likely));
        assert_eq!(f.says, "full in about 13 min, at 03:27 UTC at this rate (1.0 bytes/s)");
        assert_eq!(f.between, f.ends_at.map(|t| (t, t)));
    }

    #[test]
    fn two_looks_are_possible_and_say_so() {
        let f = forecast(subject(Some(500.0)), &looks(&[100.0, 115.0])).unwrap();
        assert_eq!((f.confidence, f.between), (Some(Confidence::Possible), None));
        assert!(f.says.ends_with("; by 2 looks only)"), "{}", f.says);
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        let one = forecast(subject(Some(9.0)), &looks(&[1.0])).unwrap();
        assert_eq!((one.says.as_str(), one.per_second, one.ends_at), ("one look tells no rate", None, None));
        assert!(forecast(subject(None), &[]).is_none());
        let still = forecast(subject(Some(9.0)), &looks(&[5.0, 5.0, 4.0])).unwrap();
        assert_eq!((still.says.as_str(), still.ends_at), ("did not grow in 30.0 s", None));
        let wild = [0.0, 80.0, -20.0, 90.0, -10.0, 60.0, -40.0, 70.0, 0.0];
        let wild = forecast(subject(Some(900.0)), &nine(6.0, wild)).unwrap();
        assert_eq!((wild.says.as_str(), wild.ends_at), ("grew too unevenly in 2 min for a rate", None));
        let blind = forecast(subject(None), &looks(&[1.0, 15e6])).unwrap();
        assert_eq!(blind.says, "grows 1000 kB/s; where that ends is not seen");
        let slow = forecast(subject(Some(1e12)), &looks(&[1.0, 2.0, 3.0])).unwrap();
        assert!(slow.says.starts_with("not full within a year") && slow.ends_at.is_none(), "{}", slow.says);
        let far = forecast(subject(Some(1e6)), &nine(15.0, [0.0; 9])).unwrap();
        assert_eq!(far.confidence, Some(Confidence::Possible));
        assert!(far.says.contains("2 min of looking says little of so long a time"), "{}", far.says);
    }

    #[test]
    fn uneven_growth_has_a_span_around_its_end() {
        let uneven = [0.0, 3.0, -2.0, 4.0, -2.0, 1.0, 3.0, -1.0, 0.0];
        let f = forecast(subject(Some(1000.0)), &nine(15.0, uneven)).unwrap();
        let ((early, late), end) = (f.between.unwrap(), f.ends_at.unwrap());
        assert!(early < end && end < late, "{f:?}");
        assert_eq!(f.confidence, Some(Confidence::Likely));
    }

    #[test]
    fn times_are_said_no_finer_than_they_are_known() {
        let said = |ms: i64| when(Timestamp(NOW), Timestamp(NOW + ms));
        let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
        assert_eq!(said(20_000), "within a minute");
        assert_eq!(said(12 * minute), "in about 12 min, at 03:24 UTC");
        assert_eq!(said(5 * hour), "on Monday about 08:15 UTC");
        assert_eq!(said(3 * day + 11 * hour), "on Thursday about 14:00 UTC");
        assert_eq!(said(11 * day), "about 4 December");
        assert_eq!(said(90 * day), "in February 2027");
    }
}
