//! When a volume will be full, from what the daemon itself has seen of it. Pure: no clock, bounded memory, and no answer
//! where there is no honest one. Not in here: how full it is now (`pgmedic_path`), alerts on it.
//!
//! The slope is Theil and Sen's: the median of the slopes between all pairs of samples, which a third of wild samples does not
//! move (`pgmedic_path::forecast`, as in an audit); how sure it is follows from Sen's interval at 95 % (Sen 1968, by Kendall's variance). Two windows are kept, of the
//! last minutes and of up to two days. The short one sees a runaway at once; what it says counts only in new territory, above
//! everything that the long one saw before it: WAL that grows to its usual height and is recycled there is breathing
//! (`pgmedic_path::forecast::regime`, likewise).

use pgmedic_model::Timestamp;
use pgmedic_path::forecast::{Growth, Point, growth, times_as_high};
use std::collections::VecDeque;

/// Samples of each window.
pub const SAMPLES: usize = 64;
/// From sample to sample of the short window at least, in ms: five minutes in all.
const SHORT_MS: i64 = 5_000;
/// From sample to sample of the long window at the most: two days in all.
const LONG_MS: i64 = 2_560_000;

/// What is to be expected of a volume, in bytes and seconds.
pub use pgmedic_path::forecast::Outlook as Forecast;

/// One volume's samples.
#[derive(Clone, Debug)]
pub struct Track {
    short: Window,
    long: Window,
    free: u64,
}

impl Default for Track {
    fn default() -> Self {
        Self { short: Window::new(SHORT_MS), long: Window::new(LONG_MS), free: 0 }
    }
}

impl Track {
    /// Takes a sample: bytes that are used, and that are still free for the server. A clock that went back begins anew.
    pub fn sample(&mut self, at: Timestamp, used: u64, free: u64) {
        if self.short.samples.back().is_some_and(|last| at < last.at) {
            *self = Self::default();
        }
        self.free = free;
        self.short.take(Sample { at, used });
        self.long.take(Sample { at, used });
    }

    /// What is to be expected. None where nothing can be said: too few samples, a growth that may as well be none, or an end
    /// further off than thirty times what was seen.
    #[must_use]
    pub fn forecast(&self) -> Option<Forecast> {
        let long = self.long.forecast(self.free);
        let short = self.short.forecast(self.free).filter(|_| self.is_new_territory());
        match (short, long) {
            (Some(s), Some(l)) if s.full_s < l.full_s => Some(s),
            // Five quiet minutes promise nothing of the days.
            (Some(s), None) if s.full_s.is_finite() || self.long.span_ms() <= self.short.span_ms() => Some(s),
            (_, long) => long,
        }
    }

    /// More is used than at any time that the long window saw before the short one begins.
    fn is_new_territory(&self) -> bool {
        let (Some(first), Some(last)) = (self.short.samples.front(), self.short.points().last()) else {
            return false;
        };
        times_as_high(self.long.points().filter(|p| p.at < first.at).map(|p| p.value), last.value) == 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    used: u64,
}

/// Samples of a span of time.
#[derive(Clone, Debug)]
struct Window {
    /// The oldest first.
    samples: VecDeque<Sample>,
    /// Their least distance in ms now,
    step: i64,
    /// and at the most.
    widest: i64,
    /// Of the samples as they are, in bytes a second.
    growth: Option<Growth>,
}

impl Window {
    const fn new(widest: i64) -> Self {
        Self { samples: VecDeque::new(), step: SHORT_MS, widest, growth: None }
    }

    fn span_ms(&self) -> i64 {
        self.samples.front().zip(self.samples.back()).map_or(0, |(a, b)| b.at.0 - a.at.0)
    }

    /// Takes a sample if it is far enough from the last. A full window thins itself out and goes on at twice the distance,
    /// up to the widest; then its oldest goes.
    fn take(&mut self, sample: Sample) {
        if self.samples.back().is_some_and(|last| sample.at.0 - last.at.0 < self.step) {
            return;
        }
        if self.samples.len() >= SAMPLES {
            if self.step < self.widest {
                let mut odd = false;
                self.samples.retain(|_| {
                    odd = !odd;
                    odd
                });
                self.step = (self.step * 2).min(self.widest);
            } else {
                self.samples.pop_front();
            }
        }
        self.samples.push_back(sample);
        self.growth = self.measure();
    }

    fn measure(&self) -> Option<Growth> {
        growth(&self.points().collect::<Vec<_>>())
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate of growth needs no more than 52 bits")]
    fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.samples.iter().map(|s| Point { at: s.at, value: s.used as f64 })
    }

    #[expect(clippy::cast_precision_loss, reason = "a time to full needs no more than 52 bits")]
    fn forecast(&self, free: u64) -> Option<Forecast> {
        Forecast::of(self.growth?, free as f64, self.span_ms() as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;
    const SIZE: u64 = 100 * GB;

    /// A track that saw `used(second)` every `step` seconds until `until`.
    fn seen(step: i64, until: i64, used: impl Fn(i64) -> u64) -> Track {
        let mut track = Track::default();
        go_on(&mut track, step, 0..=until, used);
        track
    }

    fn go_on(
        track: &mut Track,
        step: i64,
        seconds: std::ops::RangeInclusive<i64>,
        used: impl Fn(i64) -> u64,
    ) {
        for s in seconds.step_by(usize::try_from(step).unwrap()) {
            let used = used(s);
            track.sample(Timestamp(s * 1000), used, SIZE - used);
        }
    }

    /// Noise that is the same each time: 0 to 2^20 less one.
    fn noise(s: i64) -> u64 {
        (s.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) & 0xF_FFFF
    }

    #[test]
    fn steady_growth_is_carried_on_to_the_end() {
        let f = seen(1, 120, |s| 99 * GB + s.unsigned_abs() * 2_000_000).forecast().unwrap();
        assert!((f.slope - 2_000_000.0).abs() < 1.0, "{f:?}");
        let left = (GB - 240_000_000) as f64 / 2_000_000.0;
        assert!((f.full_s - left).abs() < 1.0 && f.soonest_s <= f.full_s && f.full_s <= f.latest_s, "{f:?}");
    }

    #[test]
    fn wild_samples_do_not_move_it_and_widen_what_it_says() {
        let calm = seen(5, 300, |s| 99 * GB + s.unsigned_abs() * 2_000_000).forecast().unwrap();
        let wild =
            |s: i64| if s % 25 == 10 { 50 * GB } else { 99 * GB + s.unsigned_abs() * 2_000_000 + noise(s) };
        let f = seen(5, 300, wild).forecast().unwrap();
        assert!((f.slope / calm.slope - 1.0).abs() < 0.1, "{f:?}");
        assert!(f.latest_s - f.soonest_s > calm.latest_s - calm.soonest_s, "{f:?} {calm:?}");
    }

    #[test]
    fn few_samples_and_mere_noise_say_nothing() {
        assert_eq!(Track::default().forecast(), None);
        assert_eq!(seen(5, 30, |s| 50 * GB + s.unsigned_abs() * GB / 10).forecast(), None, "seven samples");
        assert_eq!(seen(5, 3000, |s| 50 * GB + noise(s)).forecast(), None);
    }

    #[test]
    fn what_does_not_grow_is_never_full() {
        assert_eq!(seen(5, 600, |_| 50 * GB).forecast().unwrap().full_s, f64::INFINITY);
        let shrinking = seen(5, 600, |s| 50 * GB - s.unsigned_abs() * 1_000_000).forecast().unwrap();
        assert!(shrinking.slope < 0.0 && shrinking.full_s.is_infinite());
    }

    #[test]
    fn two_minutes_do_not_foretell_a_month() {
        assert_eq!(seen(5, 120, |s| 10 * GB + s.unsigned_abs() * 30_000).forecast(), None);
    }

    #[test]
    fn a_runaway_after_quiet_days_is_seen_within_minutes() {
        let days = 2 * 86_400;
        let used = |s: i64| 20 * GB + noise(s) + u64::try_from(s - days).unwrap_or(0) * 50_000_000;
        let mut track = seen(120, days - 600, used);
        go_on(&mut track, 5, days - 600..=days + 300, used);
        let f = track.forecast().unwrap();
        assert!((f.slope / 50_000_000.0 - 1.0).abs() < 0.2 && f.full_s < 1800.0, "{f:?}");
    }

    #[test]
    fn wal_that_breathes_is_no_runaway() {
        // 15 minutes up by 16 GB, then recycled.
        let sawtooth = |s: i64| 40 * GB + (s % 900).unsigned_abs() * 19_000_000;
        for end in [6 * 3600 + 400, 6 * 3600 + 600, 6 * 3600 + 850] {
            let f = seen(10, end, sawtooth).forecast();
            assert!(f.is_none_or(|f| f.full_s > 86_400.0), "{end}: {f:?}");
        }
    }

    #[test]
    fn a_week_of_looks_takes_no_more_than_its_windows() {
        let track = seen(300, 7 * 86_400, |s| 10 * GB + s.unsigned_abs() * 40_000);
        assert!(track.short.samples.len() <= SAMPLES && track.long.samples.len() <= SAMPLES);
        let f = track.forecast().unwrap();
        assert!((f.slope - 40_000.0).abs() < 1.0, "{f:?}");
    }

    #[test]
    fn a_clock_that_goes_back_begins_anew() {
        let mut track = seen(5, 600, |s| 50 * GB + s.unsigned_abs() * 10_000_000);
        assert!(track.forecast().is_some());
        track.sample(Timestamp(0), 50 * GB, 50 * GB);
        assert_eq!(track.forecast(), None);
    }
}
