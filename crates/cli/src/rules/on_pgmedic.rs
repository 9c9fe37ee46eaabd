//! The alerts on `pgmedic watch` itself: whoever watches is watched.

use super::alert::{Alert, Severity};
use super::promql::{matcher, quoted, span};
use super::{Named, Wanted};
use std::time::Duration;

/// A daemon that has not looked at a service for so long stands still: it looks every second.
const STILL: Duration = Duration::from_secs(60);

/// Every alert on the daemon.
pub(super) fn alerts(wanted: &Wanted) -> Vec<Alert> {
    let mut alerts = vec![down(wanted), gone(wanted), still(wanted)];
    alerts.extend(wanted.services.iter().map(|service| unwatched(wanted, service)));
    alerts
}

fn alert(wanted: &Wanted, severity: Severity) -> Alert {
    Alert {
        name: "PgmedicDown",
        why: String::new(),
        expr: String::new(),
        hold: wanted.limits.down_for,
        severity,
        seen_by: "prometheus",
        service: Some("pgmedic".to_owned()),
        cause: None,
        sign: None,
        summary: String::new(),
        description: String::new(),
        runbook: wanted.own_page(),
    }
}

/// Where to look.
const LOOK: &str = "Look at its log: journalctl -u pgmedic, or the platform's.";

fn down(wanted: &Wanted) -> Alert {
    let job = matcher("job", &wanted.watch_job);
    Alert {
        why: "By instance: where several watch, one that is down is said although the others watch on."
            .to_owned(),
        expr: format!("up{{{job}}} == 0"),
        sign: Some("down"),
        summary: "pgmedic watch is down at {{ $labels.instance }}".to_owned(),
        description: format!(
            "Prometheus has not reached its metrics for {}. No connection failure is seen or mended by it. {LOOK}",
            span(wanted.limits.down_for)
        ),
        ..alert(wanted, Severity::Critical)
    }
}

fn gone(wanted: &Wanted) -> Alert {
    let job = matcher("job", &wanted.watch_job);
    Alert {
        why: "No such target: discovery lost it, or the job has another name (--watch-job).".to_owned(),
        expr: format!("absent(up{{{job}}})"),
        sign: Some("absent"),
        summary: "Prometheus has no pgmedic watch to ask".to_owned(),
        description: format!(
            "There is no target in the job {} of prometheus.yml: its discovery finds none, or the job has another name.",
            wanted.watch_job
        ),
        ..alert(wanted, Severity::Critical)
    }
}

fn still(wanted: &Wanted) -> Alert {
    let last = "pgmedic_last_look_timestamp_seconds";
    Alert {
        why: "It answers, but does not look. The clocks of Prometheus' host and its own are compared, so seconds do not count."
            .to_owned(),
        expr: format!("count by (job, instance) (time() - {last} > {})", STILL.as_secs()),
        sign: Some("still"),
        summary: "pgmedic watch at {{ $labels.instance }} stands still".to_owned(),
        description: format!(
            "It has not looked at {{{{ $value }}}} of its services for more than {}. {LOOK}",
            span(STILL)
        ),
        ..alert(wanted, Severity::Warning)
    }
}

fn unwatched(wanted: &Wanted, service: &Named) -> Alert {
    let own = matcher("service", &service.name);
    Alert {
        why: format!("{} has left the daemon's configuration, or was never in it.", service.name),
        expr: format!("absent(pgmedic_service_status{{{own}}})\n  and on () group(pgmedic_build_info)"),
        service: Some(service.name.clone()),
        sign: Some("unwatched"),
        summary: format!("pgmedic watch does not watch {}", service.name),
        description: format!(
            "It runs, and tells nothing of {}: is it in the pgmedic.toml that the daemon reads?",
            quoted(&service.name).trim_matches('"')
        ),
        ..alert(wanted, Severity::Warning)
    }
}
