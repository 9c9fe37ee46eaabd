//! Faults that no drill has, alone and two at a time, on a running watch: the right cause, one incident each, nothing done that
//! should not be. Not in here: what the runbook names (`runbook`).

use crate::full::take_all;
use crate::stage::{Settings, Stage};
use pgmedic_lab::api::Kind;
use pgmedic_lab::postgres::Stop;
use pgmedic_lab::{Parts, faults};
use rustix::process::Signal;
use std::time::Duration;

const PLAIN: Parts =
    Parts { proxy: None, pooler: None, dns: false, api: Some(Kind::Renderflow), tls: false, volume_mb: None };
const PROXIED: Parts = Parts { proxy: Some(200), ..PLAIN };

/// Everything by which the runbook's faults are mended without a person.
const MENDS: Settings<'_> = Settings {
    auto: "[\"sessions\", \"storage\", \"proxy-restart\", \"app-restart\"]",
    service: "",
    policy: "cooldown = \"0s\"\nmax_per_hour = 10",
    watch: "",
};

#[test]
fn a_server_that_is_killed_while_its_slots_are_taken_is_told_as_that_and_nothing_is_restarted() {
    let stage = Stage::build(PLAIN, Settings { auto: "[]", ..MENDS });
    let full = take_all(&stage.lab).unwrap();
    stage.fires("slots-exhausted");
    stage.lab.postgres().signal(Signal::KILL).unwrap();
    stage.lab.postgres().wait_stopped().unwrap();
    stage.fires("server-down");
    drop(full);
    stage.lab.postgres().ensure_up().unwrap();
    stage.resolved();
    stage.quiet();
    // What looks saw within is not disproved by a door that is shut: it is not the same trouble by another name.
    assert_eq!(stage.criticals(), ["slots-exhausted", "server-down"]);
    assert_eq!(stage.supervisor.asked(), [""; 0]);
}

#[test]
fn a_proxy_that_hangs_while_the_server_restarts_is_one_alert_and_mended_by_its_restart() {
    let stage = Stage::build(PROXIED, MENDS);
    let hung = faults::proxy_hung::inject(&stage.lab).unwrap();
    stage.lab.postgres().stop(Stop::Fast).unwrap();
    stage.lab.postgres().up().unwrap();
    stage.fires("proxy-hung");
    stage.ready();
    stage.resolved();
    hung.remove().unwrap();
    stage.quiet();
    assert_eq!(stage.supervisor.asked(), ["restart-proxy"]);
    println!("incidents: {:?}", stage.criticals());
}

#[test]
fn an_api_that_says_503_while_the_database_is_well_is_told_as_the_api_s() {
    let stage = Stage::build(PLAIN, Settings { auto: "[\"sessions\"]", ..MENDS });
    let guard = faults::readiness_failing::inject(&stage.lab).unwrap();
    let told = stage.first();
    println!("503 on a healthy database: {told:?}");
    guard.remove().unwrap();
    stage.quiet();
    assert!(stage.acts().is_empty(), "{:?}", stage.acts());
}

#[test]
fn rules_that_lock_everybody_out_are_told_and_over_when_they_are_put_back() {
    let stage = Stage::build(PLAIN, MENDS);
    stage.lab.postgres().set_hba("local all postgres trust\n").unwrap();
    stage.fires("hba-rejects");
    stage.lab.postgres().reset_hba().unwrap();
    stage.resolved();
    stage.quiet();
    assert_eq!(stage.criticals(), ["hba-rejects"]);
    assert!(stage.acts().is_empty(), "{:?}", stage.acts());
}

#[test]
fn a_password_that_was_changed_is_told_and_over_when_it_is_put_back() {
    let stage = Stage::build(PLAIN, MENDS);
    stage.lab.postgres().sql("alter role renderflow password 'another'").unwrap();
    stage.fires("wrong-password");
    let back = format!("alter role renderflow password '{}'", pgmedic_lab::postgres::PASSWORD);
    stage.lab.postgres().sql(&back).unwrap();
    stage.resolved();
    stage.quiet();
    assert_eq!(stage.criticals(), ["wrong-password"]);
    assert!(stage.acts().is_empty(), "{:?}", stage.acts());
}

#[test]
fn an_alertmanager_that_is_down_during_the_fault_is_told_when_it_is_up() {
    let mut stage = Stage::build(PLAIN, Settings { auto: "[]", ..MENDS });
    stage.alertmanager.down();
    stage.lab.postgres().stop(Stop::Fast).unwrap();
    stage.prometheus.wait("pgmedic_service_up{service=\"renderflow\"}", 0.0);
    std::thread::sleep(Duration::from_secs(3));
    stage.alertmanager.up();
    println!("told when it was up: {:?}", stage.first());
    stage.lab.postgres().up().unwrap();
    stage.resolved();
    stage.quiet();
    assert_eq!(stage.criticals().len(), 1, "{:?}", stage.criticals());
}

#[test]
fn a_service_that_flaps_each_two_seconds_is_one_incident() {
    let stage = Stage::build(PLAIN, Settings { auto: "[]", ..MENDS });
    for _ in 0..15 {
        stage.lab.postgres().sql("alter database renderflow allow_connections false").unwrap();
        std::thread::sleep(Duration::from_secs(1));
        stage.lab.postgres().sql("alter database renderflow allow_connections true").unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(stage.criticals(), ["database-not-accepting"]);
}

#[test]
fn a_log_that_is_rotated_and_half_a_minute_of_health_raise_nothing() {
    let stage = Stage::build(PLAIN, MENDS);
    let log = stage.lab.postgres().log();
    std::fs::rename(log, log.with_extension("1")).unwrap();
    stage.lab.postgres().reload().unwrap();
    let seconds = std::env::var("PGMEDIC_HEALTHY_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(30);
    std::thread::sleep(Duration::from_secs(10));
    let before = stage.resident();
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        assert!(stage.alertmanager.firing().is_empty(), "{:?}\n{}", stage.alertmanager.names(), stage.log());
    }
    let grown = stage.resident().saturating_sub(before);
    println!("{seconds} s of health: {} kB more", grown >> 10);
    assert!(stage.incidents().is_empty(), "{:#?}", stage.incidents());
    assert!(grown < 4 << 20, "{grown}");
}
