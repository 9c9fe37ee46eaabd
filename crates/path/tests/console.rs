//! The pooler's console, on a real PgBouncer in each of its troubles.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pgmedic_lab::pgbouncer::STATS_ROLE;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts, PoolerSize, faults};
use pgmedic_model::target::{Settings, Surroundings};
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::proxy::console;
use pgmedic_path::rooms::proxy::evidence::{PoolRow, PoolerDatabase, PoolerEvidence};
use pgmedic_path::route::Deadlines;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::Instant;

fn lab(size: PoolerSize) -> Lab {
    Lab::build(Parts { pooler: Some(size), ..Parts::default() }).unwrap()
}

const ORDINARY: PoolerSize = PoolerSize { pool: 2, clients: 50 };

/// Reads the console of this database by this role.
fn read_as(port: u16, user: &str, database: &str, within: Duration) -> PoolerEvidence {
    let url = format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{database}?sslmode=disable");
    let target = Settings::parse(&url).and_then(|s| s.resolve(&Surroundings::default())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let end = Instant::now() + within;
        console::read(&target, &Resolver::default(), Deadlines::until(end, end), None).await
    })
}

fn read(lab: &Lab) -> PoolerEvidence {
    let port = lab.pooler().unwrap().port();
    read_as(port, STATS_ROLE, "pgbouncer", Duration::from_secs(10))
}

fn database(evidence: &PoolerEvidence) -> &PoolerDatabase {
    evidence.databases.iter().find(|database| database.name == DATABASE).unwrap()
}

fn api_pool(evidence: &PoolerEvidence) -> &PoolRow {
    evidence.pools.iter().find(|pool| pool.database == DATABASE && pool.user == ROLE).unwrap()
}

#[test]
fn a_healthy_pooler_tells_its_version_its_limits_and_its_databases() {
    let lab = lab(ORDINARY);
    let seen = read(&lab);
    assert_eq!((seen.failure.as_deref(), seen.silent), (None, false));
    assert!(seen.version.as_ref().is_some_and(|version| version.starts_with("PgBouncer 1.")), "{seen:?}");
    assert_eq!((seen.max_client_conn, seen.default_pool_size), (Some(50), Some(2)));
    assert_eq!(seen.query_wait_timeout_s, Some(120.0));
    assert!(seen.used_clients.is_some_and(|used| used >= 1), "{seen:?}");
    let database = database(&seen);
    assert_eq!((database.host.as_deref(), database.port), (Some("127.0.0.1"), lab.postgres().port()));
    assert_eq!((database.paused, database.disabled), (false, false));
}

#[test]
fn an_exhausted_pool_shows_who_waits_and_how_long() {
    let lab = lab(ORDINARY);
    let fault = faults::pooler_pool_exhausted::inject(&lab).unwrap();
    let seen = read(&lab);
    let pool = api_pool(&seen);
    assert_eq!((pool.sv_active, pool.sv_idle, pool.cl_waiting), (2, 0, 1), "{pool:?}");
    assert_eq!(pool.pool_mode, "transaction");
    fault.remove().unwrap();
}

#[test]
fn paused_and_disabled_are_seen_and_gone_again() {
    let lab = lab(ORDINARY);
    let fault = faults::pooler_paused::inject(&lab).unwrap();
    assert!(database(&read(&lab)).paused);
    fault.remove().unwrap();
    let pooler = lab.pooler().unwrap();
    pooler.console(&format!("DISABLE {DATABASE}")).unwrap();
    let seen = read(&lab);
    assert_eq!((database(&seen).paused, database(&seen).disabled), (false, true));
    pooler.console(&format!("ENABLE {DATABASE}")).unwrap();
    assert!(!database(&read(&lab)).disabled);
}

#[test]
fn at_its_client_limit_the_console_still_answers() {
    let lab = lab(PoolerSize { pool: 2, clients: 5 });
    let fault = faults::pooler_client_limit::inject(&lab).unwrap();
    let seen = read(&lab);
    assert_eq!(seen.failure, None);
    assert_eq!(seen.max_client_conn, Some(5));
    // PgBouncer lets its console's users in beyond the limit, so that the limit can be seen.
    assert!(seen.used_clients >= Some(5), "{seen:?}");
    fault.remove().unwrap();
}

#[test]
fn a_stopped_pooler_is_silent_and_a_wrong_door_is_named() {
    let lab = lab(ORDINARY);
    let pooler = lab.pooler().unwrap();
    let wrong = read_as(lab.postgres().port(), ROLE, DATABASE, Duration::from_secs(10));
    assert!(wrong.failure.as_ref().is_some_and(|failure| failure.starts_with("SHOW VERSION:")), "{wrong:?}");
    let no_role = read_as(pooler.port(), "nobody", "pgbouncer", Duration::from_secs(10));
    assert!(no_role.failure.as_ref().is_some_and(|failure| failure.starts_with("startup:")), "{no_role:?}");

    pooler.signal(Signal::STOP).unwrap();
    let started = std::time::Instant::now();
    let seen = read_as(pooler.port(), STATS_ROLE, "pgbouncer", Duration::from_millis(500));
    assert!(seen.silent, "{seen:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    pooler.signal(Signal::CONT).unwrap();
}
