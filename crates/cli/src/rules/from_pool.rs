//! The alerts that an API's own `pg_pool_*` metrics can raise. A pool sees its own connections: of the server's limits it
//! learns when they are reached, of disks when a statement fails on one, of locks nothing.

use super::Scope;
use super::alert::{Alert, Severity};
use super::promql::{number, percent, quoted, span};
use std::time::Duration;

/// The reason of `pg_pool_connects_total` by which the server has no slot left, for all, for the role or for the
/// database: SQLSTATE 53300.
const NO_SLOTS: &str = "53300";

/// Every alert, in the order of the path.
pub(super) fn alerts(scope: &Scope<'_>) -> Vec<Alert> {
    vec![connection_failure(scope), near_limit(scope), saturated(scope), waiting(scope), gave_up(scope)]
}

/// What all have in common.
fn alert(scope: &Scope<'_>, name: &'static str, severity: Severity, page: &str) -> Alert {
    let service = match scope.service {
        Some(service) => service.name.clone(),
        None => format!("{{{{ $labels.{} }}}}", scope.api()),
    };
    Alert {
        name,
        why: String::new(),
        expr: String::new(),
        hold: Duration::ZERO,
        severity,
        seen_by: "pool",
        service: Some(service),
        cause: None,
        sign: None,
        summary: String::new(),
        description: String::new(),
        runbook: scope.wanted.page(page),
    }
}

/// The service in an alert's text.
fn called(scope: &Scope<'_>) -> String {
    scope.service.map_or_else(|| format!("{{{{ $labels.{} }}}}", scope.api()), |service| service.name.clone())
}

/// The instances in which a counter grew within `window`. One that was born within it grew from nothing, which `increase`
/// does not see: it counts where the instance was there before without it, so that neither a Prometheus that was away nor
/// an instance that could not be reached brings old numbers back as new.
fn grew(scope: &Scope<'_>, metric: &str, matchers: &str, window: Duration) -> String {
    let counter = scope.pool(metric, matchers);
    let (up, window, api) = (scope.pool("up", ""), span(window), scope.api());
    format!(
        "group by ({api}, instance) (\n  increase({counter}[{window}]) > 0\n  \
         or ({counter} > 0 unless {counter} offset {window}) and on ({api}, instance) {up} offset {window} == 1\n)"
    )
}

/// A template's query: what a person would ask next, answered in the alert. Go's raw strings spare it the escapes.
fn worst(scope: &Scope<'_>, metric: &str, matchers: &str, label: &str) -> String {
    let (api, window) = (scope.api(), span(scope.wanted.window()));
    let asked = |own: &str| {
        format!("`topk(1, sum by ({label}) (increase({metric}{{{own},{matchers}}}[{window}])) > 0)`")
    };
    let query = match scope.service {
        Some(service) => asked(&super::promql::matcher(api, &service.name)),
        None => format!("(printf {} $labels.{api})", asked(&format!("{api}=%q"))),
    };
    format!(
        "{{{{ with query {query} }}}} Most often: {{{{ . | first | label {} }}}}.{{{{ end }}}}",
        quoted(label)
    )
}

fn connection_failure(scope: &Scope<'_>) -> Alert {
    let window = scope.wanted.window();
    let tried = grew(scope, "pg_pool_connects_total", r#"outcome!="ok""#, window);
    let had = grew(scope, "pg_pool_connects_total", r#"outcome="ok""#, window);
    let api = scope.api();
    let service = called(scope);
    Alert {
        why: "An instance's attempts to connect fail, and none succeeds. Counted by instance, so that one that cannot\n\
              connect is not hidden by others that can; a counter that starts anew, or is born failing, counts as it is."
            .to_owned(),
        expr: format!("count by ({api}) (\n  {}\n  unless\n  {}\n)", indent(&tried), indent(&had)),
        hold: scope.limits().failure_for,
        summary: format!("{service} cannot connect to its database"),
        description: format!(
            "{{{{ $value }}}} of its instances tried to connect within {} and none of their attempts succeeded.{} \
             See where the path breaks: pgmedic check {service}",
            span(window),
            worst(scope, "pg_pool_connects_total", r#"outcome!="ok""#, "reason")
        ),
        ..alert(scope, "DatabaseConnectionFailure", Severity::Critical, "readiness-failing")
    }
}

fn near_limit(scope: &Scope<'_>) -> Alert {
    let window = scope.wanted.window();
    let refused =
        grew(scope, "pg_pool_connects_total", &format!(r#"outcome!="ok",reason="{NO_SLOTS}""#), window);
    let service = called(scope);
    Alert {
        why: "From the pools' side the server's limit shows when it is reached: an attempt was refused for want of a slot."
            .to_owned(),
        expr: format!("count by ({}) (\n  {}\n)", scope.api(), indent(&refused)),
        hold: Duration::ZERO,
        summary: format!("The database of {service} has no connection left for it"),
        description: format!(
            "{{{{ $value }}}} of its instances were refused for want of a slot within {}. Who holds them: pgmedic check {service}; \
             what would free some: pgmedic fix {service} --plan",
            span(window)
        ),
        ..alert(scope, "DatabaseConnectionsNearLimit", Severity::Warning, "slots-exhausted")
    }
}

fn saturated(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    let (in_use, max) = (scope.pool("pg_pool_in_use", ""), scope.pool("pg_pool_max", ""));
    let service = called(scope);
    Alert {
        why: "Pools that have all but all of their connections in use. By pool: a busy one is not averaged away by idle ones."
            .to_owned(),
        expr: format!("count by ({}) (\n  {in_use} >= {} * ({max} > 0)\n)", scope.api(), number(limits.pool)),
        hold: limits.pool_for,
        summary: format!("{service} uses its whole connection pool"),
        description: format!(
            "{{{{ $value }}}} of its pools have had at least {} of their connections in use for {}. Either statements are slow, \
             or connections are not given back: pgmedic check {service} tells which.",
            percent(limits.pool),
            span(limits.pool_for)
        ),
        ..alert(scope, "DatabasePoolSaturated", Severity::Warning, "pool-starved")
    }
}

fn waiting(scope: &Scope<'_>) -> Alert {
    let limits = scope.limits();
    let service = called(scope);
    Alert {
        why: "Requests that wait for a connection, whenever one looks.".to_owned(),
        expr: format!("sum by ({}) ({}) > 0", scope.api(), scope.pool("pg_pool_waiting", "")),
        hold: limits.waiting_for,
        summary: format!("Requests of {service} wait for a database connection"),
        description: format!(
            "{{{{ $value }}}} requests wait for a connection of the pool, and some have at each look for {}. Whether the pool is \
             starved or leaks: pgmedic check {service}",
            span(limits.waiting_for)
        ),
        ..alert(scope, "DatabasePoolWaiting", Severity::Warning, "pool-starved")
    }
}

fn gave_up(scope: &Scope<'_>) -> Alert {
    let window = scope.wanted.window();
    let gave_up = grew(scope, "pg_pool_timeouts_total", r#"stage="queue""#, window);
    let service = called(scope);
    let api = scope.api();
    Alert {
        why: "Requests that waited for a connection until their time was up: they failed.".to_owned(),
        expr: format!("count by ({api}) (\n  {}\n)", indent(&gave_up)),
        hold: scope.limits().failure_for,
        summary: format!("Requests of {service} fail for want of a connection"),
        description: format!(
            "In {{{{ $value }}}} of its instances requests gave up waiting for a connection of the pool within {}. \
             Whether the pool is starved or leaks: pgmedic check {service}",
            span(window)
        ),
        ..alert(scope, "DatabasePoolWaiting", Severity::Critical, "pool-starved")
    }
}

/// Every line but the first, further in.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}
