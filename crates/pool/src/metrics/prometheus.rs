//! The metrics as a `prometheus-client` collector: read when they are scraped, and not before.
//!
//! Not in here: what they mean (`describe`).

use super::describe::{self, Described};
use super::numbers::{Metered, Numbers, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;
use std::fmt;

/// Any number of pools, of any kind, as one collector: `registry.register_collector(Box::new(collector))`. More than one
/// pool in a registry belongs into one collector, each with a name of its own.
#[derive(Default)]
pub struct PoolCollector(Vec<Box<dyn Metered>>);

impl fmt::Debug for PoolCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolCollector").field(&self.0.len()).finish()
    }
}

type Labels = Vec<(&'static str, String)>;

impl PoolCollector {
    /// Without a pool yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this pool as well.
    #[must_use]
    pub fn with(mut self, pool: impl Metered) -> Self {
        self.0.push(Box::new(pool));
        self
    }
}

impl Collector for PoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let read = |pool: &dyn Metered| {
            let labels: Labels = pool.label().map(|name| ("pool", name.to_owned())).into_iter().collect();
            (labels, pool.numbers())
        };
        let pools: Vec<(Labels, Numbers)> = self.0.iter().map(|pool| read(pool.as_ref())).collect();
        for described in describe::GAUGES {
            let told = pools.iter().filter_map(|(labels, n)| Some((labels, (described.read)(n)?)));
            let told: Vec<_> = told.collect();
            family(&mut encoder, described.name, described.help, None, MetricType::Gauge, &told, |e, n| {
                e.encode_gauge(&i64::try_from(*n).unwrap_or(i64::MAX))
            })?;
        }
        for described in describe::HISTOGRAMS {
            histogram(&mut encoder, described, &pools)?;
        }
        for described in describe::COUNTERS {
            let told = pools.iter().flat_map(|(labels, n)| {
                (described.read)(n).into_iter().map(move |(more, n)| {
                    let more = more.into_iter().map(|(key, value)| (key, value.into_owned()));
                    (labels.iter().cloned().chain(more).collect::<Labels>(), n)
                })
            });
            let told: Vec<(Labels, u64)> = told.collect();
            let told: Vec<_> = told.iter().map(|(labels, n)| (labels, *n)).collect();
            family(
                &mut encoder,
                described.name,
                described.help,
                None,
                MetricType::Counter,
                &told,
                |e, n| {
                    let none: Option<&Exemplar<Labels, u64>> = None;
                    let _ = ConstCounter::new(*n);
                    e.encode_counter(n, none)
                },
            )?;
        }
        Ok(())
    }
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    described: &Described<Option<Times>>,
    pools: &[(Labels, Numbers)],
) -> fmt::Result {
    let told = pools.iter().filter_map(|(labels, n)| Some((labels, (described.read)(n)?)));
    let told: Vec<_> = told.collect();
    let name = described.name.trim_end_matches("_seconds");
    family(encoder, name, described.help, Some(&Unit::Seconds), MetricType::Histogram, &told, |e, times| {
        e.encode_histogram::<Labels>(times.sum, times.count(), &times.buckets, None)
    })
}

/// One family, where any pool has something to tell for it.
fn family<T>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    kind: MetricType,
    told: &[(&Labels, T)],
    each: impl Fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if told.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, value) in told {
        if labels.is_empty() {
            each(&mut metric, value)?;
        } else {
            each(&mut metric.encode_family(*labels)?, value)?;
        }
    }
    Ok(())
}
