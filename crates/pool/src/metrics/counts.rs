//! The counters and histograms themselves. Counting is a few relaxed atomic additions.
//!
//! Not in here: gauges; they are read from the pool's table.

use crate::reason::{Attempt, Stage};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Why a connection left the pool, as in `pg_pool_discards_total{reason="…"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// It idled for `idle_timeout`.
    Idle,
    /// It was `max_lifetime` old.
    Lifetime,
    /// It ended without our doing.
    Lost,
    /// It did not pass the test before it was handed out.
    Recycle,
    /// It came back unclean, and could not be made clean.
    Unclean,
    /// The caller said so, or kept it.
    Caller,
    /// The pool was closed.
    Closed,
}

impl Discard {
    pub(crate) const ALL: [Self; 7] =
        [Self::Idle, Self::Lifetime, Self::Lost, Self::Recycle, Self::Unclean, Self::Caller, Self::Closed];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Lost => "lost",
            Self::Recycle => "recycle",
            Self::Unclean => "unclean",
            Self::Caller => "caller",
            Self::Closed => "closed",
        }
    }
}

/// Reasons that stand at 0 from the start, so that a first failure is an increase and not a new series.
const USUAL_ERRORS: [&str; 8] =
    ["ECONNREFUSED", "timeout", "closed", "dns", "tls", "53300", "57P03", "28P01"];

/// The upper bounds of the histograms' buckets, in seconds: from a lock's wait to the budget. For recorders of the `metrics`
/// facade that are to be told.
pub const BOUNDS: [f64; 14] =
    [0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; 14] = [
    10_000,
    100_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// A histogram of times.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One for each bound, and one for what is above all; not cumulative.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at].fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    /// The sum in seconds, and for each bucket its upper bound and how many fell into it.
    pub(crate) fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = BOUNDS.into_iter().chain([f64::MAX]);
        let buckets = bounds.zip(&self.buckets).map(|(bound, n)| (bound, n.load(Relaxed))).collect();
        (Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64(), buckets)
    }
}

/// Who wants to know of each time as it is measured.
pub trait Observer: Send + Sync {
    /// A caller had a connection after so long.
    fn acquired(&self, took: Duration);

    /// A connection was opened in so long.
    fn connected(&self, took: Duration);
}

/// Everything that is counted.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) acquire: Histogram,
    pub(crate) connect: Histogram,
    connects: AtomicU64,
    errors: Mutex<BTreeMap<Cow<'static, str>, u64>>,
    timeouts: [AtomicU64; Stage::ALL.len()],
    discards: [AtomicU64; Discard::ALL.len()],
    leaks: AtomicU64,
    observer: std::sync::OnceLock<Box<dyn Observer>>,
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Counts {
    pub(crate) fn new() -> Self {
        let errors = USUAL_ERRORS.into_iter().map(|reason| (Cow::Borrowed(reason), 0)).collect();
        Self { errors: Mutex::new(errors), ..Self::default() }
    }

    pub(crate) fn observe(&self, observer: Box<dyn Observer>) -> bool {
        self.observer.set(observer).is_ok()
    }

    pub(crate) fn acquired(&self, took: Duration) {
        self.acquire.observe(took);
        if let Some(observer) = self.observer.get() {
            observer.acquired(took);
        }
    }

    pub(crate) fn connected(&self, took: Duration) {
        self.connects.fetch_add(1, Relaxed);
        self.connect.observe(took);
        if let Some(observer) = self.observer.get() {
            observer.connected(took);
        }
    }

    /// An attempt failed: each address counts.
    pub(crate) fn failed(&self, attempts: &[Attempt]) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for attempt in attempts {
            *errors.entry(attempt.reason.label()).or_default() += 1;
        }
    }

    pub(crate) fn timed_out(&self, stage: Stage) {
        self.timeouts[stage as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn discarded(&self, why: Discard) {
        self.discards[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn leaked(&self) {
        self.leaks.fetch_add(1, Relaxed);
    }

    /// Openings that succeeded.
    pub(crate) fn connects(&self) -> u64 {
        self.connects.load(Relaxed)
    }

    /// Attempts that failed, by reason.
    pub(crate) fn errors(&self) -> Vec<(Cow<'static, str>, u64)> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().map(|(reason, n)| (reason.clone(), *n)).collect()
    }

    pub(crate) fn timeouts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Stage::ALL.into_iter().zip(&self.timeouts).map(|(stage, n)| (stage.name(), n.load(Relaxed)))
    }

    pub(crate) fn discards(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Discard::ALL.into_iter().zip(&self.discards).map(|(why, n)| (why.label(), n.load(Relaxed)))
    }

    pub(crate) fn leaks(&self) -> u64 {
        self.leaks.load(Relaxed)
    }
}
