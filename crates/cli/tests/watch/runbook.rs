//! Show 1: the runbook's four faults, each on the real parts: told to Alertmanager with its cause, mended by the policy (the
//! one that only a person can mend is taken back), resolved. Deadlines are generous; the times are printed.

use crate::full::take_all;
use crate::monitors::promtool_takes;
use crate::stage::{Settings, Stage};
use crate::web::get;
use pgmedic_lab::api::Kind;
use pgmedic_lab::{Guard, Lab, LabError, Parts, faults};
use std::time::Instant;

const PARTS: Parts = Parts {
    proxy: Some(200),
    pooler: None,
    dns: true,
    api: Some(Kind::Renderflow),
    tls: false,
    volume_mb: Some(64),
};

/// One of the runbook's remediations.
struct Fault {
    title: &'static str,
    cause: &'static str,
    inject: fn(&Lab) -> Result<Guard, LabError>,
    /// What mends it; None where only a person can.
    remedy: Option<&'static str>,
}

const RUNBOOK: [Fault; 4] = [
    Fault {
        title: "Connection pool exhaustion",
        cause: "slots-exhausted",
        inject: take_all,
        remedy: Some("terminate-idle-sessions"),
    },
    Fault {
        title: "Proxy timeout",
        cause: "proxy-hung",
        inject: faults::proxy_hung::inject,
        remedy: Some("restart-proxy"),
    },
    Fault {
        title: "Storage full",
        cause: "disk-full",
        inject: faults::disk_full::inject,
        remedy: Some("extend-volume"),
    },
    Fault {
        title: "DNS resolution",
        cause: "name-not-found",
        inject: faults::name_not_found::inject,
        remedy: None,
    },
];

#[test]
fn needs_root_each_fault_of_the_runbook_is_told_mended_and_resolved() {
    let settings = Settings {
        auto: "[\"sessions\", \"storage\", \"proxy-restart\"]",
        policy: "cooldown = \"0s\"\nmax_per_hour = 10",
        ..Settings::default()
    };
    let stage = Stage::build(PARTS, settings);
    assert!(stage.alertmanager.firing().is_empty(), "nothing is wrong yet: {}", stage.log());
    println!(
        "\n{:<27} {:<16} {:>13} {:>15} {:>10}",
        "the runbook's", "cause", "fault->alert", "->ready 200", "->resolved"
    );
    for fault in &RUNBOOK {
        play(&stage, fault);
    }
    let page = get(stage.port, "/metrics").unwrap().1;
    promtool_takes(stage.place.path(), &page);
    let causes: Vec<_> = RUNBOOK.iter().map(|fault| fault.cause).collect();
    assert_eq!(stage.criticals(), causes, "one each, and no other");
    assert_eq!(stage.supervisor.asked(), ["restart-proxy"], "asked for nothing else");
    println!(
        "promtool takes {} lines of /metrics; pgmedic has {} kB resident",
        page.lines().count(),
        stage.resident() >> 10
    );
}

fn play(stage: &Stage, fault: &Fault) {
    let Fault { title, cause, inject, remedy } = fault;
    let begun = Instant::now();
    let guard = inject(&stage.lab).unwrap();
    // Slots and a disk fill for a while before the fault is there; a stopped proxy is it at once.
    let there = if *cause == "proxy-hung" { begun } else { Instant::now() };
    let (alert, told) = stage.fires(cause);
    assert_eq!(alert["labels"]["service"], "renderflow", "{alert:#}");
    assert_eq!(alert["labels"]["severity"], "critical", "{alert:#}");
    let guard = match remedy {
        Some(_) => Some(guard),
        None => {
            // As a person who has put the record back.
            stage.prometheus.wait("pgmedic_service_up{service=\"renderflow\"}", 0.0);
            guard.remove().unwrap();
            None
        }
    };
    let ready = stage.ready();
    let resolved = stage.resolved();
    let since = |at: Instant| format!("{:.0} ms", at.saturating_duration_since(there).as_secs_f64() * 1e3);
    let by = remedy.unwrap_or("a person");
    println!(
        "{title:<27} {cause:<16} {:>13} {:>15} {:>10}  by {by}",
        since(told),
        since(ready),
        since(resolved)
    );
    counted(stage, cause, *remedy);
    if let Some(guard) = guard {
        guard.remove().unwrap();
    }
    // What it left behind, sessions that idle, a warning, goes with it.
    stage.quiet();
}

/// Prometheus saw it come and go, and what was done.
fn counted(stage: &Stage, cause: &str, remedy: Option<&str>) {
    let prometheus = &stage.prometheus;
    stage.wait_up();
    // The finding itself may have come and been mended between two scrapes; its incident is open for some.
    prometheus.wait(&format!("max(max_over_time(pgmedic_incident_open{{cause=\"{cause}\"}}[1m]))"), 1.0);
    if let Some(remedy) = remedy {
        // Whatever its root was called when it was done: a slow fill begins as a warning.
        let applied = format!("sum(pgmedic_remedies_total{{remedy=\"{remedy}\",outcome=\"applied\"}})");
        prometheus.wait(&applied, 1.0);
    }
}
