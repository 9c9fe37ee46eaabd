//! What the tests against a real Postgres share: a lab beside a runtime, and looking until something is so.
#![allow(dead_code, reason = "each test binary uses some of it")]

use pgmedic_lab::postgres::{DATABASE, PASSWORD, Postgres, ROLE};
use pgmedic_lab::{Lab, Parts};
use pgmedic_pool::tokio_postgres::Config;
use pgmedic_pool::{Builder, Metered as _, Pool};
use std::time::{Duration, Instant};

/// Runs a test beside a lab. What asks the lab itself goes through [`off`]: the lab is asked from ordinary code.
pub(crate) fn with_lab(parts: Parts, test: impl AsyncFnOnce(&Lab)) {
    let lab = Lab::build(parts).expect("a lab with a Postgres");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(test(&lab));
    drop(runtime);
}

/// Does something with the lab.
pub(crate) fn off<T>(ask: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(ask)
}

pub(crate) fn config(postgres: &Postgres) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(postgres.port()).user(ROLE).password(PASSWORD).dbname(DATABASE);
    config.application_name("pgmedic-pool-test");
    config
}

pub(crate) fn builder(lab: &Lab) -> Builder {
    Pool::builder(config(lab.postgres()))
}

/// Looks until it is so, and says what it saw last where it never is.
pub(crate) async fn until<T: std::fmt::Debug>(
    within: Duration,
    mut look: impl AsyncFnMut() -> (bool, T),
) -> Duration {
    let from = Instant::now();
    loop {
        let (so, seen) = look().await;
        if so {
            return from.elapsed();
        }
        assert!(from.elapsed() < within, "not within {within:?}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The pool's sessions, as the server counts them.
pub(crate) fn sessions(lab: &Lab) -> usize {
    let count = "select count(*)::text from pg_stat_activity where application_name = 'pgmedic-pool-test'";
    off(|| lab.postgres().value(count)).expect("the server answers").parse().expect("a number")
}

/// Connection attempts that failed so far.
pub(crate) fn failures(pool: &Pool) -> u64 {
    pool.numbers().connects.iter().filter(|(outcome, ..)| *outcome == "error").map(|(.., n)| n).sum()
}
