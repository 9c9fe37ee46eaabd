//! The metrics by both exporters: every name from the start, at 0, and the right one afterwards.
//!
//! Not in here: the adapters of other pools, whose pools are no part of this workspace (`bench/pool` scrapes all four with a
//! real Prometheus).

mod support;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use pgmedic_lab::Parts;
use pgmedic_lab::postgres::Stop;
use pgmedic_pool::Pool;
use pgmedic_pool::metrics::{PoolCollector, Publisher};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{builder, off, until, with_lab};

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("a string takes it");
    text
}

fn registry(pool: &Pool) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(PoolCollector::new().with(pool.clone())));
    registry
}

/// Every series that a pool has before it was ever asked.
const AT_FIRST: [&str; 30] = [
    "pg_pool_max 2",
    "pg_pool_size 0",
    "pg_pool_idle 0",
    "pg_pool_in_use 0",
    "pg_pool_waiting 0",
    "pg_pool_acquire_seconds_count 0",
    "pg_pool_connect_seconds_count 0",
    "pg_pool_connects_total{outcome=\"ok\",reason=\"none\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"ECONNREFUSED\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"timeout\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"closed\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"dns\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"53300\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"57P03\"} 0",
    "pg_pool_connects_total{outcome=\"error\",reason=\"28P01\"} 0",
    "pg_pool_timeouts_total{stage=\"queue\"} 0",
    "pg_pool_timeouts_total{stage=\"dns\"} 0",
    "pg_pool_timeouts_total{stage=\"connect\"} 0",
    "pg_pool_timeouts_total{stage=\"tls\"} 0",
    "pg_pool_timeouts_total{stage=\"startup\"} 0",
    "pg_pool_timeouts_total{stage=\"admission\"} 0",
    "pg_pool_timeouts_total{stage=\"recycle\"} 0",
    "pg_pool_discards_total{reason=\"idle\"} 0",
    "pg_pool_discards_total{reason=\"lifetime\"} 0",
    "pg_pool_discards_total{reason=\"lost\"} 0",
    "pg_pool_discards_total{reason=\"recycle\"} 0",
    "pg_pool_discards_total{reason=\"unclean\"} 0",
    "pg_pool_discards_total{reason=\"caller\"} 0",
    "pg_pool_discards_total{reason=\"closed\"} 0",
    "pg_pool_leaks_total 0",
];

/// Does things that count.
async fn live(lab: &pgmedic_lab::Lab, pool: &Pool) {
    let one = pool.get().await.expect("a connection");
    let two = pool.get().await.expect("a connection");
    pool.get_within(Duration::from_millis(50)).await.expect_err("both are out");
    one.discard();
    drop(two);
    off(|| lab.postgres().stop(Stop::Fast)).expect("it stops");
    until(Duration::from_secs(1), async || (pool.state().size == 0, pool.state())).await;
    pool.get().await.expect_err("it is stopped");
}

/// What that counts to. How often the probe has looked by then is its own affair.
const AFTERWARDS: [&str; 9] = [
    "pg_pool_size 0",
    "pg_pool_acquire_seconds_count 2",
    "pg_pool_connect_seconds_count 2",
    "pg_pool_acquire_seconds_bucket{le=\"10.0\"} 2",
    "pg_pool_connects_total{outcome=\"ok\",reason=\"none\"} 2",
    "pg_pool_timeouts_total{stage=\"queue\"} 1",
    "pg_pool_discards_total{reason=\"caller\"} 1",
    "pg_pool_discards_total{reason=\"lost\"} 1",
    "pg_pool_leaks_total 0",
];

fn holds(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn prometheus_client_has_every_series_from_the_start_and_counts() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(2).build().expect("a pool");
        let registry = registry(&pool);
        holds(&text(&registry), &AT_FIRST);
        live(lab, &pool).await;
        let told = text(&registry);
        holds(&told, &AFTERWARDS);
        assert!(!told.contains("reason=\"ECONNREFUSED\"} 0"), "{told}");
        promtool(&told);
    });
}

/// What Prometheus' own tool says of it.
fn promtool(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is installed (Debian: prometheus)");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    // It reads the older format: no `# EOF`, no `# UNIT`, and a counter is described by its whole name.
    for line in text.lines().filter(|l| !l.starts_with("# EOF") && !l.starts_with("# UNIT")) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let counter = ["pg_pool_connects", "pg_pool_timeouts", "pg_pool_discards", "pg_pool_leaks"];
        if words[0] == "#" && counter.contains(&words[2].as_str()) {
            words[2].push_str("_total");
        }
        writeln!(stdin, "{}", words.join(" ")).expect("it reads");
    }
    drop(stdin);
    let said = promtool.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{words}\n{text}");
}

#[test]
fn two_pools_in_one_registry_have_their_names() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let named = |name: &str| {
        let pool = Pool::from_url("postgres://app@127.0.0.1:1/app").expect("a URL").name(name);
        pool.build().expect("a pool")
    };
    let mut registry = Registry::default();
    let both = PoolCollector::new().with(named("reads")).with(named("writes"));
    registry.register_collector(Box::new(both));
    let told = text(&registry);
    holds(
        &told,
        &[
            "pg_pool_max{pool=\"reads\"} 10",
            "pg_pool_max{pool=\"writes\"} 10",
            "pg_pool_timeouts_total{pool=\"reads\",stage=\"queue\"} 0",
        ],
    );
    assert_eq!(told.matches("# TYPE pg_pool_max ").count(), 1, "{told}");
}

/// A recorder that keeps what it is told.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Arc<Cell>>>>);

#[derive(Default)]
struct Cell {
    value: AtomicU64,
    times: Mutex<Vec<f64>>,
}

impl metrics::HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.times.lock().expect("no panic").push(value);
    }
}

impl Kept {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<String> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().expect("no panic").entry(name).or_default())
    }

    fn value(&self, name: &str) -> Option<u64> {
        self.0.lock().expect("no panic").get(name).map(|cell| cell.value.load(Relaxed))
    }

    fn times(&self, name: &str) -> usize {
        self.0
            .lock()
            .expect("no panic")
            .get(name)
            .map_or(0, |cell| cell.times.lock().expect("no panic").len())
    }
}

struct Whole(Arc<Cell>);

impl metrics::CounterFn for Whole {
    fn increment(&self, value: u64) {
        self.0.value.fetch_add(value, Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.value.store(value, Relaxed);
    }
}

impl metrics::GaugeFn for Whole {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.value.store(value as u64, Relaxed);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Whole(self.cell(key))))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Whole(self.cell(key))))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[test]
fn the_metrics_facade_is_told_the_same() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(2).build().expect("a pool");
        let kept = Kept::default();
        let publisher = metrics::with_local_recorder(&kept, || Publisher::new(pool.clone()));
        assert_eq!(kept.value("pg_pool_max{}"), Some(2));
        assert_eq!(kept.value("pg_pool_timeouts_total{stage=tls}"), Some(0));
        assert_eq!(kept.value("pg_pool_leaks_total{}"), Some(0));
        live(lab, &pool).await;
        metrics::with_local_recorder(&kept, || publisher.publish());
        assert_eq!(kept.value("pg_pool_timeouts_total{stage=queue}"), Some(1));
        assert_eq!(kept.value("pg_pool_connects_total{outcome=ok,reason=none}"), Some(2));
        assert!(kept.value("pg_pool_connects_total{outcome=error,reason=ECONNREFUSED}") > Some(0));
        assert_eq!(kept.times("pg_pool_acquire_seconds{}"), 2);
        assert_eq!(kept.times("pg_pool_connect_seconds{}"), 2);
    });
}
