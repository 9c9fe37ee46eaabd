//! The metrics by the `metrics` facade, for whatever recorder the process has installed.
//!
//! Times are recorded as they are measured; gauges and counters when [`Publisher::publish`] is called: before a scrape is
//! rendered, or now and then by [`Publisher::run`]. Not in here: a recorder.

use super::counts::Observer;
use super::describe;
use super::numbers::Metered;
use metrics::{Histogram, Label};
use std::borrow::Cow;
use std::time::Duration;

/// Publishes one pool's metrics. Make it after the recorder is installed: times go to the recorder of that moment.
pub struct Publisher {
    pool: Box<dyn Metered>,
    labels: Vec<Label>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// Where measured times go.
struct Recorded {
    acquire: Histogram,
    connect: Histogram,
}

impl Observer for Recorded {
    fn acquired(&self, took: Duration) {
        self.acquire.record(took.as_secs_f64());
    }

    fn connected(&self, took: Duration) {
        self.connect.record(took.as_secs_f64());
    }
}

impl Publisher {
    /// Describes the metrics, and publishes them for the first time.
    #[must_use]
    pub fn new(pool: impl Metered) -> Self {
        for gauge in describe::GAUGES {
            metrics::describe_gauge!(gauge.name, gauge.help);
        }
        for histogram in describe::HISTOGRAMS {
            metrics::describe_histogram!(histogram.name, metrics::Unit::Seconds, histogram.help);
        }
        for counter in describe::COUNTERS {
            metrics::describe_counter!(total(counter.name), counter.help);
        }
        let labels: Vec<Label> =
            pool.label().map(|name| Label::new("pool", name.to_owned())).into_iter().collect();
        let acquire = metrics::histogram!("pg_pool_acquire_seconds", labels.iter());
        let connect = metrics::histogram!("pg_pool_connect_seconds", labels.iter());
        pool.observe(Box::new(Recorded { acquire, connect }));
        let publisher = Self { pool: Box::new(pool), labels };
        publisher.publish();
        publisher
    }

    /// Publishes gauges and counters as they stand.
    pub fn publish(&self) {
        let numbers = self.pool.numbers();
        for gauge in describe::GAUGES {
            if let Some(n) = (gauge.read)(&numbers) {
                #[expect(clippy::cast_precision_loss, reason = "connections are few")]
                metrics::gauge!(gauge.name, self.labels.iter()).set(n as f64);
            }
        }
        for counter in describe::COUNTERS {
            for (more, n) in (counter.read)(&numbers) {
                let labels = self.labels.iter().cloned();
                let labels: Vec<Label> =
                    labels.chain(more.into_iter().map(|(key, value)| Label::new(key, value))).collect();
                metrics::counter!(total(counter.name), labels).absolute(n);
            }
        }
    }

    /// Publishes them every so often, until it is dropped: to be spawned.
    pub async fn run(self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.publish();
        }
    }
}

fn total(name: &'static str) -> Cow<'static, str> {
    Cow::Owned(format!("{name}_total"))
}
