//! The alerts that the metrics of `pgmedic watch` can raise. They are named and explained in `docs/metrics.md`.
//!
//! Each reads the last value within the window, so that a restart of the daemon, whose series are gone for as long, neither
//! resolves an alert nor lets it begin anew; and the value of any daemon that watches the service, where several do.

use super::alert::{Alert, Severity};
use super::promql::{number, percent, span};
use super::{Scope, Source};
use std::time::Duration;

/// How long the volumes' alerts must hold: a forecast moves.
const STORAGE_FOR: Duration = Duration::from_secs(60);
/// How far back a forecast is taken from: a daemon that was started anew needs so long to make one.
const FORECAST: Duration = Duration::from_secs(300);

/// Every alert on a service, in the order of the path.
pub(super) fn alerts(scope: &Scope<'_>) -> Vec<Alert> {
    let mut alerts = vec![connection_failure(scope), near_limit(scope)];
    // Where Prometheus has the pools' own metrics, they tell more: by instance, and who gave up.
    if scope.wanted.source == Source::Watch {
        alerts.extend([saturated(scope), waiting(scope)]);
    }
    alerts.extend([
        full_in(scope, Severity::Critical),
        full_in(scope, Severity::Warning),
        used(scope, Severity::Critical),
        used(scope, Severity::Warning),
        locks(scope),
    ]);
    alerts
}

/// What all have in common. For whichever services there are the label `service` is the series' own.
fn alert(scope: &Scope<'_>, name: &'static str, severity: Severity, page: &str) -> Alert {
    Alert {
        name,
        why: String::new(),
        expr: String::new(),
        hold: Duration::ZERO,
        severity,
        seen_by: "watch",
        service: scope.service.map(|service| service.name.clone()),
        cause: None,
        sign: None,
        summary: String::new(),
        description: String::new(),
        runbook: scope.wanted.page(page),
    }
}

/// The last value within the window.
fn last(scope: &Scope<'_>, metric: &str, matchers: &str) -> String {
    format!("last_over_time({}[{}])", scope.watch(metric, matchers), span(scope.wanted.window()))
}

fn connection_failure(scope: &Scope<'_>) -> Alert {
    let roots = last(scope, "pgmedic_finding", r#"role="root",severity="critical""#);
    let up = last(scope, "pgmedic_service_up", "");
    Alert {
        why: "One alert for each root cause, for as long as the service cannot use its database."
            .to_owned(),
        expr: format!(
            "max by (service, cause) ({roots}) == 1\n  and on (service) min by (service) ({up}) == 0\n\
             or on (service)\n  label_replace(min by (service) ({up}) == 0, \"cause\", \"unrecognised-failure\", \"\", \"\")"
        ),
        hold: scope.limits().failure_for,
        summary: "{{ $labels.service }} cannot use its database: {{ $labels.cause }}".to_owned(),
        description: "The root cause is {{ $labels.cause }}. What it is, what proves it and what mends it: pgmedic explain \
                      {{ $labels.cause }}. What would be done, and to whom: pgmedic fix {{ $labels.service }} --plan"
            .to_owned(),
        ..alert(scope, "DatabaseConnectionFailure", Severity::Critical, "{{ $labels.cause }}")
    }
}

fn near_limit(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    let which = r#"limit!~"max_connections|reserved""#;
    let (used, limit) =
        (last(scope, "pgmedic_connections_used", which), last(scope, "pgmedic_connections_limit", which));
    Alert {
        why: "The slots for ordinary roles, and each role's and database's CONNECTION LIMIT. A limit of 0 is a fence that\n\
              somebody put up, and is near nothing."
            .to_owned(),
        expr: format!(
            "max by (service, limit) (\n  {used}\n  / ({limit} > 0)\n) >= {}",
            number(limits.connections_of(scope.service))
        ),
        hold: limits.connections_for,
        summary: "{{ $labels.service }}: {{ $value | humanizePercentage }} of its connections are taken ({{ $labels.limit }})"
            .to_owned(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the limit {{{{ $labels.limit }}}} are taken, and have been for {}. Who holds them: \
             pgmedic check {{{{ $labels.service }}}}; what would free some: pgmedic fix {{{{ $labels.service }}}} --plan",
            span(limits.connections_for)
        ),
        ..alert(scope, "DatabaseConnectionsNearLimit", Severity::Warning, "slots-nearly-exhausted")
    }
}

fn saturated(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    let (in_use, max) = (last(scope, "pgmedic_pool_in_use", ""), last(scope, "pgmedic_pool_max", ""));
    Alert {
        why: "The API's pool, as `watch` reads it from the service's `metrics`.".to_owned(),
        expr: format!("max by (service) (\n  {in_use}\n  / ({max} > 0)\n) >= {}", number(limits.pool)),
        hold: limits.pool_for,
        summary: "{{ $labels.service }} uses its whole connection pool".to_owned(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the pool's connections are in use; at least {} have been for {}. Either \
             statements are slow, or connections are not given back: pgmedic check {{{{ $labels.service }}}} tells which.",
            percent(limits.pool),
            span(limits.pool_for)
        ),
        ..alert(scope, "DatabasePoolSaturated", Severity::Warning, "pool-starved")
    }
}

fn waiting(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    Alert {
        why: "Requests that wait for a connection, whenever one looks. Those that gave up are not counted here: where `metrics`\n\
              leads to another instance each time, their counter goes up and down."
            .to_owned(),
        expr: format!("max by (service) ({}) > 0", last(scope, "pgmedic_pool_waiting", "")),
        hold: limits.waiting_for,
        summary: "Requests of {{ $labels.service }} wait for a database connection".to_owned(),
        description: format!(
            "{{{{ $value }}}} requests wait for a connection of the pool, and some have at each look for {}. Whether the pool is \
             starved or leaks: pgmedic check {{{{ $labels.service }}}}",
            span(limits.waiting_for)
        ),
        ..alert(scope, "DatabasePoolWaiting", Severity::Warning, "pool-starved")
    }
}

/// Volumes that are full within a time.
fn soon(scope: &Scope<'_>, within: Duration) -> String {
    let full = scope.watch("pgmedic_storage_full_seconds", "");
    let back = span(scope.wanted.window().max(FORECAST));
    format!("min by (service, volume) (last_over_time({full}[{back}])) < {}", within.as_secs())
}

fn full_in(scope: &Scope<'_>, severity: Severity) -> Alert {
    let limits = scope.limits();
    let within = if severity == Severity::Critical { limits.full_soon } else { limits.full_within };
    Alert {
        why: "By the daemon's own forecast, which is made only where one can be made honestly.".to_owned(),
        expr: soon(scope, within),
        hold: STORAGE_FOR,
        sign: Some("forecast"),
        summary: "{{ $labels.service }}: volume {{ $labels.volume }} is full in {{ $value | humanizeDuration }}".to_owned(),
        description: "At the rate at which it fills. A database whose disk is full takes no writes, and may not start again. What \
                      holds the space, and what extends it: pgmedic check {{ $labels.service }}; pgmedic fix {{ $labels.service }} --plan"
            .to_owned(),
        ..alert(scope, "DatabaseStorageFilling", severity, "disk-filling")
    }
}

fn used(scope: &Scope<'_>, severity: Severity) -> Alert {
    let limits = scope.limits();
    // A third of what the warning leaves free.
    let (share, within) = match severity {
        Severity::Critical => (1.0 - (1.0 - limits.storage) / 3.0, limits.full_soon),
        Severity::Warning => (limits.storage, limits.full_within),
    };
    let (free, size) =
        (last(scope, "pgmedic_storage_free_bytes", ""), last(scope, "pgmedic_storage_size_bytes", ""));
    Alert {
        why: "However slowly it fills, where the forecast has not said so already. (Fly Postgres makes itself read-only at 90 %.)"
            .to_owned(),
        expr: format!(
            "max by (service, volume) (1 - {free} / ({size} > 0)) >= {}\nunless on (service, volume)\n  {}",
            number(share),
            soon(scope, within)
        ),
        hold: STORAGE_FOR,
        sign: Some("used"),
        summary: "{{ $labels.service }}: {{ $value | humanizePercentage }} of volume {{ $labels.volume }} are used".to_owned(),
        description: "It does not fill fast, but little is left. What holds the space, and what extends it: pgmedic check \
                      {{ $labels.service }}; pgmedic fix {{ $labels.service }} --plan"
            .to_owned(),
        ..alert(scope, "DatabaseStorageFilling", severity, "disk-filling")
    }
}

fn locks(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    Alert {
        why: "Sessions that wait for a lock. Behind the one that holds it they take slot after slot."
            .to_owned(),
        expr: format!("max by (service) ({}) >= {}", last(scope, "pgmedic_lock_waiters", ""), limits.locks),
        hold: limits.locks_for,
        cause: Some("lock-pile-up"),
        summary: "{{ $labels.service }}: {{ $value }} sessions wait for locks".to_owned(),
        description: format!(
            "At least {} have for {}. Who is at the root of the queue, and what ends it: pgmedic check {{{{ $labels.service }}}}; \
             pgmedic fix {{{{ $labels.service }}}} --plan",
            limits.locks,
            span(limits.locks_for)
        ),
        ..alert(scope, "DatabaseLocksPilingUp", Severity::Warning, "lock-pile-up")
    }
}
