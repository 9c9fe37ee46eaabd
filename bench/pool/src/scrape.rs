//! The metrics of all four pools, scraped by a real Prometheus: `cargo run --release -- scrape`.
//!
//! Each pool is used until something waits on it, then Prometheus is asked for every metric by name. Fails where a pool
//! that can tell something (docs/pool.md) did not.

use crate::pools::{Bb8, Contender, Deadpool, MAX, Ours, Sqlx, Work};
use pgmedic_pool::adapters::{bb8, deadpool, sqlx};
use pgmedic_pool::metrics::PoolCollector;
use prometheus_client::registry::Registry;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Each metric, and of which pools Prometheus must have it: ours, sqlx, deadpool, bb8.
const EXPECTED: [(&str, [bool; 4]); 11] = [
    ("pg_pool_max", [true, true, true, true]),
    ("pg_pool_size", [true, true, true, true]),
    ("pg_pool_idle", [true, true, true, true]),
    ("pg_pool_in_use", [true, true, true, true]),
    ("pg_pool_waiting", [true, true, true, true]),
    ("pg_pool_acquire_seconds_count", [true, true, true, true]),
    ("pg_pool_connect_seconds_count", [true, false, false, false]),
    ("pg_pool_connects_total", [true, false, false, true]),
    ("pg_pool_timeouts_total", [true, true, true, true]),
    ("pg_pool_discards_total", [true, false, false, true]),
    ("pg_pool_leaks_total", [true, false, false, false]),
];
const POOLS: [&str; 4] = ["ours", "sqlx", "deadpool", "bb8"];

/// Uses the pools, has them scraped, and prints what Prometheus knows. Gives how much of it is not as expected.
pub async fn scrape(port: u16) -> usize {
    let ours = Ours::named(port, "ours");
    let deadpool = deadpool::Observed::new(Deadpool::build(port).await.0, "deadpool".to_owned());
    let bb8 = bb8::Observed::new(Bb8::build(port).await.0, "bb8".to_owned());
    let sqlx = sqlx::Observed::new(Sqlx::build(port).await.0, "sqlx".to_owned());
    ours.once(Work::Query).await;
    drop(deadpool.get().await.expect("a connection"));
    drop(bb8.get().await.expect("a connection"));
    drop(sqlx.acquire().await.expect("a connection"));
    let collector = PoolCollector::new().with(ours.0).with(sqlx).with(deadpool).with(bb8);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("its address");
    tokio::spawn(serve(listener, Arc::new(registry)));
    let prometheus = Prometheus::start(&target.to_string());
    let until = Instant::now() + Duration::from_secs(30);
    while prometheus.has("pg_pool_max", "bb8").await != Some(f64::from(MAX)) {
        assert!(Instant::now() < until, "Prometheus scrapes within 30 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut wrong = 0;
    println!("| metric | {} |\n|---|---|---|---|---|", POOLS.join(" | "));
    for (metric, expected) in EXPECTED {
        print!("| `{metric}` |");
        for (pool, expected) in POOLS.into_iter().zip(expected) {
            let value = prometheus.has(metric, pool).await;
            wrong += usize::from(value.is_some() != expected);
            print!(" {} |", value.map_or("not told".to_owned(), |value| value.to_string()));
        }
        println!();
    }
    wrong
}

async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let mut body = String::new();
            prometheus_client::encoding::text::encode(&mut body, &registry).expect("a string takes it");
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
            let all = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(all.as_bytes()).await;
        });
    }
}

/// A Prometheus of our own, in a folder of its own, for as long as this lives.
struct Prometheus {
    child: Child,
    address: String,
    folder: std::path::PathBuf,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pgmedic-bench-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address").to_string();
        drop(free);
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: pools\n  static_configs: [ {{ targets: ['{target}'] }} ]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).expect("its configuration");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { child: child.expect("prometheus is installed (Debian: prometheus)"), address, folder }
    }

    /// The sum of a metric's series of one pool; None where it has none.
    async fn has(&self, metric: &str, pool: &str) -> Option<f64> {
        let query = format!("sum({metric}{{pool=\"{pool}\"}})");
        let query: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\nHost: prometheus\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        // {"status":"success","data":{…"result":[{"metric":{},"value":[1732…,"10"]}]}}
        let (_, value) = answer.split_once("\"value\":[")?;
        let value = value.split(',').nth(1)?.trim_start_matches('"').split('"').next()?;
        value.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
