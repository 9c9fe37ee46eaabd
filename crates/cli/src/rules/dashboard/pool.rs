//! The panels on an API's own `pg_pool_*` metrics.

use super::super::Wanted;
use super::super::promql::selector;
use super::panel::{Kind, Panel};

/// Queries on a pool's metrics, for the services that are chosen.
struct Ask<'a> {
    /// The label that names the API.
    api: &'a str,
}

impl Ask<'_> {
    fn of(&self, metric: &str) -> String {
        selector(metric, Some(&format!("{}=~\"$service\"", self.api)), "")
    }

    fn sum(&self, metric: &str) -> String {
        format!("sum by ({}) ({})", self.api, self.of(metric))
    }

    fn rate(&self, metric: &str, by: &str) -> String {
        format!("sum by ({}, {by}) (rate({}[$__rate_interval]))", self.api, self.of(metric))
    }

    /// The mean of a time. Where nobody asked there is none: a line at 0 says so better than a gap that looks like a
    /// failed scrape.
    fn mean(&self, metric: &str) -> String {
        let part = |part: &str| {
            format!(
                "sum by ({}) (rate({}[$__rate_interval]))",
                self.api,
                self.of(&format!("{metric}_{part}"))
            )
        };
        format!("{} / ({} > 0) or {} * 0", part("sum"), part("count"), part("count"))
    }

    /// The time within which so many are served, in percent.
    fn quantile(&self, metric: &str, share: &str) -> String {
        let buckets = self.of(&format!("{metric}_bucket"));
        format!("histogram_quantile({share}, sum by ({}, le) (rate({buckets}[$__rate_interval])))", self.api)
    }

    /// A legend that begins with the API.
    fn called(&self, more: &str) -> String {
        format!("{{{{{}}}}} {more}", self.api)
    }
}

pub(super) fn panels(wanted: &Wanted) -> Vec<Panel> {
    let ask = Ask { api: &wanted.api_label };
    [state(&ask), times(&ask), counts(&ask)].concat()
}

fn state(ask: &Ask<'_>) -> Vec<Panel> {
    let share = format!("{} / ({} > 0)", ask.of("pg_pool_in_use"), ask.of("pg_pool_max"));
    vec![
        Panel::new(
            Kind::Lines,
            "Pool in use",
            "percentunit",
            8,
            "The share of each pool's connections that requests hold. At 100 % the next request waits.",
        )
        .query(share, ask.called("{{instance}}"))
        .steps(&[(None, "green"), (Some(0.9), "red")]),
        Panel::new(Kind::Lines, "Waiting for a connection", "short", 8, "Requests in the pools' queues.")
            .query(ask.sum("pg_pool_waiting"), ask.called("")),
        Panel::new(
            Kind::Stacked,
            "Connections of the pools",
            "short",
            8,
            "In use and idle; there may be as many as `max` says.",
        )
        .query(ask.sum("pg_pool_in_use"), ask.called("in use"))
        .query(ask.sum("pg_pool_idle"), ask.called("idle")),
        Panel::new(
            Kind::Lines,
            "Size and bound of the pools",
            "short",
            8,
            "Of all instances. More than the server's slots: `pgmedic explain pools-exceed-slots`.",
        )
        .query(ask.sum("pg_pool_size"), ask.called("open"))
        .query(ask.sum("pg_pool_max"), ask.called("max")),
    ]
}

fn times(ask: &Ask<'_>) -> Vec<Panel> {
    let acquire = "pg_pool_acquire_seconds";
    vec![
        Panel::new(
            Kind::Lines,
            "Time to get a connection",
            "s",
            8,
            "The mean, and the time within which 99 of 100 are served.",
        )
        .query(ask.mean(acquire), ask.called("mean"))
        .query(ask.quantile(acquire, "0.99"), ask.called("p99")),
        Panel::new(
            Kind::Lines,
            "Time to open a connection",
            "s",
            8,
            "Resolving, connecting, TLS, authentication, admission: the mean.",
        )
        .query(ask.mean("pg_pool_connect_seconds"), ask.called("mean")),
    ]
}

fn counts(ask: &Ask<'_>) -> Vec<Panel> {
    let leaks =
        format!("sum by ({}) (increase({}[$__rate_interval]))", ask.api, ask.of("pg_pool_leaks_total"));
    vec![
        Panel::new(
            Kind::Lines,
            "Attempts to connect",
            "cps",
            8,
            "By outcome and reason: SQLSTATE, errno, or what ran out.",
        )
        .query(ask.rate("pg_pool_connects_total", "outcome, reason"), ask.called("{{outcome}} {{reason}}")),
        Panel::new(
            Kind::Lines,
            "Gave up",
            "cps",
            8,
            "Requests whose time ran out, by the stage in which it did.",
        )
        .query(ask.rate("pg_pool_timeouts_total", "stage"), ask.called("{{stage}}")),
        Panel::new(
            Kind::Lines,
            "Connections discarded",
            "cps",
            8,
            "By reason. Those of `lost` and `recycle` died behind the pool's back.",
        )
        .query(ask.rate("pg_pool_discards_total", "reason"), ask.called("{{reason}}")),
        Panel::new(
            Kind::Lines,
            "Leaks",
            "short",
            8,
            "Checkouts held for longer than the pool's threshold; its log says where each was taken.",
        )
        .query(leaks, ask.called("")),
    ]
}
