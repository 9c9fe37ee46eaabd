//! The metrics by name, with what they mean: the one table that every exporter and the documentation follow.
//!
//! Not in here: any exporter's format.

use super::numbers::{Numbers, Times};
use std::borrow::Cow;

/// A metric: its name, what it means, and how it is read. A counter's name is without `_total`.
pub(crate) struct Described<T> {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) read: fn(&Numbers) -> T,
}

/// One series of a counter: its labels and its value.
pub(crate) type Series = Vec<(Vec<(&'static str, Cow<'static, str>)>, u64)>;

pub(crate) const GAUGES: &[Described<Option<u64>>] = &[
    Described { name: "pg_pool_max", help: "Connections that the pool may have at most", read: |n| n.max },
    Described { name: "pg_pool_size", help: "Connections that the pool has open", read: |n| n.size },
    Described { name: "pg_pool_idle", help: "Connections that are free", read: |n| n.idle },
    Described { name: "pg_pool_in_use", help: "Connections that callers hold", read: |n| n.in_use },
    Described { name: "pg_pool_waiting", help: "Callers that wait for a connection", read: |n| n.waiting },
];

pub(crate) const HISTOGRAMS: &[Described<Option<Times>>] = &[
    Described {
        name: "pg_pool_acquire_seconds",
        help: "Time that callers waited until they had a connection",
        read: |n| n.acquire.clone(),
    },
    Described {
        name: "pg_pool_connect_seconds",
        help: "Time that it took to open a connection",
        read: |n| n.connect.clone(),
    },
];

pub(crate) const COUNTERS: &[Described<Series>] = &[
    Described {
        name: "pg_pool_connects",
        help: "Attempts to open a connection, by outcome, and by SQLSTATE or errno where they failed",
        read: |n| {
            let series = n.connects.iter().map(|(outcome, reason, n)| {
                (vec![("outcome", Cow::Borrowed(*outcome)), ("reason", reason.clone())], *n)
            });
            series.collect()
        },
    },
    Described {
        name: "pg_pool_timeouts",
        help: "Callers that ran out of time, by the stage that used it up",
        read: |n| one("stage", &n.timeouts),
    },
    Described {
        name: "pg_pool_discards",
        help: "Connections that the pool closed or lost, by reason",
        read: |n| one("reason", &n.discards),
    },
    Described {
        name: "pg_pool_leaks",
        help: "Checkouts that were held longer than the leak threshold",
        read: |n| n.leaks.map(|n| (Vec::new(), n)).into_iter().collect(),
    },
];

fn one(key: &'static str, series: &[(&'static str, u64)]) -> Series {
    series.iter().map(|(value, n)| (vec![(key, Cow::Borrowed(*value))], *n)).collect()
}
