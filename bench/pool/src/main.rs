//! Checkouts of the four pools on one real Postgres, side by side: `cargo run --release [SECONDS]`. Writes a Markdown table.
//! `cargo run --release -- scrape` has their metrics scraped by a real Prometheus.
//!
//! Each cell is the median of five rounds, in which the pools take turns. Not in here: the pools' setup (`pools.rs`).

mod pools;
mod scrape;

use pgmedic_lab::{Lab, Parts};
use pools::{Bb8, Contender, Deadpool, Ours, Sqlx, Work};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 5;

/// A row: its name, callers, and what each does with its connection.
const ROWS: [(&str, usize, Work); 5] = [
    ("uncontended", 1, Work::Nothing),
    ("64 tasks on 10", 64, Work::Yield),
    ("1,000 tasks on 10", 1000, Work::Yield),
    ("64 tasks on 10, SELECT 1", 64, Work::Query),
    ("1,000 tasks on 10, SELECT 1", 1000, Work::Query),
];

/// What one round gave.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// The least served caller's share, by the mean: 1 is perfectly fair.
    fairness: f64,
    allocations: f64,
    /// Processor time of this process for each checkout: what other work on the machine does not change.
    cpu: Duration,
}

/// Processor time of this process so far (`man 5 proc_pid_stat`, utime and stime; a tick is 10 ms).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|text| text.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

async fn round<C: Contender>(pool: &C, tasks: usize, work: Work, lasts: Duration) -> Measured {
    // Every connection is open, and every statement prepared.
    let warm: Vec<_> = (0..64)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.once(Work::Query).await })
        })
        .collect();
    for warm in warm {
        warm.await.expect("no panic");
    }
    let region = Region::new(ALLOCATOR);
    let cpu_before = cpu();
    let from = Instant::now();
    let until = from + lasts;
    let callers: Vec<_> = (0..tasks)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                // One in so many is kept, so that the keeping is not what is measured.
                let mut times = Vec::with_capacity(1 << 12);
                let mut n = 0_u64;
                loop {
                    let took = pool.once(work).await;
                    n += 1;
                    if times.len() < times.capacity() && (n < 1024 || n % 64 == 0) {
                        times.push(took);
                    }
                    if Instant::now() >= until {
                        return (n, times);
                    }
                }
            })
        })
        .collect();
    let mut counts = Vec::with_capacity(tasks);
    let mut times = Vec::new();
    for caller in callers {
        let (n, took) = caller.await.expect("no panic");
        counts.push(n);
        times.extend(took);
    }
    let elapsed = from.elapsed();
    let cpu = cpu() - cpu_before;
    let allocations = region.change().allocations;
    let all: u64 = counts.iter().sum();
    let mean = all as f64 / counts.len() as f64;
    times.sort_unstable();
    Measured {
        per_second: all as f64 / elapsed.as_secs_f64(),
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        fairness: counts.iter().copied().min().unwrap_or(0) as f64 / mean,
        allocations: allocations as f64 / all as f64,
        cpu: cpu.div_f64(all as f64),
    }
}

fn median(rounds: &[Measured]) -> Measured {
    let by = |read: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(read).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Measured {
        per_second: by(|m| m.per_second),
        p50: Duration::from_secs_f64(by(|m| m.p50.as_secs_f64())),
        p99: Duration::from_secs_f64(by(|m| m.p99.as_secs_f64())),
        fairness: by(|m| m.fairness),
        allocations: by(|m| m.allocations),
        cpu: Duration::from_secs_f64(by(|m| m.cpu.as_secs_f64())),
    }
}

fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 10.0 { format!("{micros:.2}") } else { format!("{micros:.0}") }
}

fn thousands(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn print(name: &str, row: &str, m: Measured) {
    let (per_second, p50, p99) = (thousands(m.per_second), micros(m.p50), micros(m.p99));
    let (fairness, allocations, cpu) = (m.fairness, m.allocations, micros(m.cpu));
    println!("| {row} | {name} | {per_second} | {p50} | {p99} | {fairness:.2} | {allocations:.1} | {cpu} |");
}

async fn measure(port: u16, lasts: Duration) {
    let (ours, deadpool) = (Ours::build(port).await, Deadpool::build(port).await);
    let (bb8, sqlx) = (Bb8::build(port).await, Sqlx::build(port).await);
    println!("| | pool | checkouts/s | p50 µs | p99 µs | fairness | allocations each | CPU µs each |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (row, tasks, work) in ROWS {
        let mut all: [Vec<Measured>; 4] = Default::default();
        for _ in 0..ROUNDS {
            all[0].push(round(&ours, tasks, work, lasts).await);
            all[1].push(round(&deadpool, tasks, work, lasts).await);
            all[2].push(round(&bb8, tasks, work, lasts).await);
            all[3].push(round(&sqlx, tasks, work, lasts).await);
        }
        for (name, rounds) in [Ours::NAME, Deadpool::NAME, Bb8::NAME, Sqlx::NAME].into_iter().zip(&all) {
            print(name, row, median(rounds));
        }
    }
}

fn main() {
    let argument = std::env::args().nth(1);
    let lab = Lab::build(Parts::default()).expect("a lab with a Postgres");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let port = lab.postgres().port();
    if argument.as_deref() == Some("scrape") {
        let wrong = runtime.block_on(scrape::scrape(port));
        drop(runtime);
        drop(lab);
        std::process::exit(i32::from(wrong > 0));
    }
    let lasts = argument.and_then(|text| text.parse().ok()).unwrap_or(1.0);
    runtime.block_on(measure(port, Duration::from_secs_f64(lasts)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The adapters for sqlx, deadpool and bb8 and our own collector, each told exactly what its pool can tell.
    #[test]
    fn the_metrics_of_all_four_pools_are_scraped_by_a_real_prometheus() {
        let lab = Lab::build(Parts::default()).expect("a lab with a Postgres");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        assert_eq!(runtime.block_on(scrape::scrape(lab.postgres().port())), 0, "the table above shows which");
    }
}
