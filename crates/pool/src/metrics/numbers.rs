//! A pool's metrics at one moment, whichever pool it is, and their names and meanings.
//!
//! Not in here: any exporter's format.

use super::{Counts, Observer};
use crate::state::PoolState;
use std::borrow::Cow;

/// A histogram of times as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Sum, in seconds.
    pub sum: f64,
    /// For each bucket its upper bound in seconds (the last is `f64::MAX`), and how many fell into it and no lower one.
    pub buckets: Vec<(f64, u64)>,
}

impl Times {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, n)| n).sum()
    }
}

/// A pool's metrics at one moment. What a pool cannot tell is None or empty, and is not exported.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Numbers {
    /// `pg_pool_max`
    pub max: Option<u64>,
    /// `pg_pool_size`
    pub size: Option<u64>,
    /// `pg_pool_idle`
    pub idle: Option<u64>,
    /// `pg_pool_in_use`
    pub in_use: Option<u64>,
    /// `pg_pool_waiting`
    pub waiting: Option<u64>,
    /// `pg_pool_acquire_seconds`
    pub acquire: Option<Times>,
    /// `pg_pool_connect_seconds`
    pub connect: Option<Times>,
    /// `pg_pool_connects_total`: outcome (`ok`, `error`), reason, count.
    pub connects: Vec<(&'static str, Cow<'static, str>, u64)>,
    /// `pg_pool_timeouts_total`: stage, count.
    pub timeouts: Vec<(&'static str, u64)>,
    /// `pg_pool_discards_total`: reason, count.
    pub discards: Vec<(&'static str, u64)>,
    /// `pg_pool_leaks_total`
    pub leaks: Option<u64>,
}

impl Numbers {
    pub(crate) fn of(state: &PoolState, counts: &Counts) -> Self {
        let n = |n: usize| u64::try_from(n).ok();
        let times = |(sum, buckets)| Some(Times { sum, buckets });
        let errors = counts.errors().into_iter().map(|(reason, n)| ("error", reason, n));
        Self {
            max: n(state.max),
            size: n(state.size),
            idle: n(state.idle),
            in_use: n(state.in_use),
            waiting: n(state.waiting),
            acquire: times(counts.acquire.read()),
            connect: times(counts.connect.read()),
            connects: std::iter::once(("ok", Cow::Borrowed("none"), counts.connects()))
                .chain(errors)
                .collect(),
            timeouts: counts.timeouts().collect(),
            discards: counts.discards().collect(),
            leaks: Some(counts.leaks()),
        }
    }
}

#[cfg(any(feature = "sqlx", feature = "deadpool", feature = "bb8"))]
impl Numbers {
    /// What is measured from outside of a pool that is not ours.
    pub(crate) fn measured(counts: &Counts, waiting: u64) -> Self {
        let (sum, buckets) = counts.acquire.read();
        Self {
            waiting: Some(waiting),
            acquire: Some(Times { sum, buckets }),
            timeouts: counts.timeouts().filter(|(stage, n)| *stage == "queue" || *n > 0).collect(),
            ..Self::default()
        }
    }
}

/// A pool whose metrics can be read.
pub trait Metered: Send + Sync + 'static {
    /// Its metrics at this moment.
    fn numbers(&self) -> Numbers;

    /// Tells `observer` of each time that is measured from now on. False where another is told already, or nothing is
    /// measured.
    fn observe(&self, observer: Box<dyn Observer>) -> bool {
        drop(observer);
        false
    }

    /// The value of the label `pool`; none where it is the process's only one.
    fn label(&self) -> Option<&str> {
        None
    }
}
