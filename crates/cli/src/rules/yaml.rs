//! A rule file for Prometheus in YAML. Every string is written as JSON, which YAML reads as it is; expressions are blocks.

use super::alert::{Alert, Group};
use super::{Source, Wanted, promql};
use std::fmt::Write as _;

const HEAD: &str = "\
# Alert rules for Postgres connections, written by `pgmedic rules prometheus`. Do not edit: write them anew.
# Check them with `promtool check rules FILE`; load them by `rule_files:` of prometheus.yml.
";

/// What these rules need, and cannot see.
fn needs(source: Source) -> &'static str {
    match source {
        Source::Watch => "# They read the metrics of `pgmedic watch`.\n",
        Source::Pool => {
            "\
# They read the metrics of the API's pool (pg_pool_*). A pool sees its own connections: of the server's limits it learns
# when they are reached, of locks and disks nothing. `pgmedic watch` sees those; then --from both.
"
        }
        Source::Both => {
            "# They read the metrics of `pgmedic watch` and of the API's pool (pg_pool_*).\n"
        }
    }
}

/// The file.
pub(super) fn rules(wanted: &Wanted, groups: &[Group]) -> String {
    let mut out = format!("{HEAD}{}groups:\n", needs(wanted.source));
    for group in groups {
        let _infallible = write!(
            out,
            "  - name: {}\n    interval: {}\n    rules:\n",
            group.name,
            promql::span(group.every)
        );
        for alert in &group.alerts {
            one(&mut out, alert);
        }
    }
    out
}

fn one(out: &mut String, alert: &Alert) {
    for line in alert.why.lines() {
        out.push_str(&format!("      # {line}\n"));
    }
    out.push_str(&format!("      - alert: {}\n        expr: |-\n", alert.name));
    for line in alert.expr.lines() {
        out.push_str(&format!("          {line}\n"));
    }
    out.push_str(&format!("        for: {}\n        labels:\n", promql::span(alert.hold)));
    let labels = [
        ("severity", Some(alert.severity.as_str())),
        ("seen_by", Some(alert.seen_by)),
        ("service", alert.service.as_deref()),
        ("cause", alert.cause),
        ("sign", alert.sign),
    ];
    for (name, value) in labels {
        if let Some(value) = value {
            out.push_str(&format!("          {name}: {}\n", quoted(value)));
        }
    }
    out.push_str("        annotations:\n");
    let annotations =
        [("summary", &alert.summary), ("description", &alert.description), ("runbook_url", &alert.runbook)];
    for (name, text) in annotations {
        out.push_str(&format!("          {name}: {}\n", quoted(text)));
    }
}

/// A string as YAML reads it: JSON's strings are among YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
