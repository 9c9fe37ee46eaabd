//! An alert's name and labels, which people route on: the names of `pgmedic rules prometheus`, so that a route, a silence
//! or an inhibition holds for both.

use super::letter::Labels;
use crate::incident::Incident;
use pgmedic_model::{Room, Severity};

/// Whoever cannot use their database.
const FAILURE: &str = "DatabaseConnectionFailure";
/// A warning that none of the rules stands for.
const AT_RISK: &str = "DatabaseConnectionAtRisk";

/// Causes whose rule is not their room's.
const BY_CAUSE: [(&str, &str); 6] = [
    ("pools-exceed-slots", "DatabaseConnectionsNearLimit"),
    ("pool-starved", "DatabasePoolWaiting"),
    ("pool-leak", "DatabasePoolSaturated"),
    ("lock-pile-up", "DatabaseLocksPilingUp"),
    ("orphan-prepared-transaction", "DatabaseLocksPilingUp"),
    ("lock-table-full", "DatabaseLocksPilingUp"),
];

/// The alert's name.
pub(super) fn name(severity: Severity, room: Room, cause: &str) -> &'static str {
    if severity == Severity::Critical {
        return FAILURE;
    }
    let own = BY_CAUSE.iter().find(|(of, _)| *of == cause).map(|(_, name)| *name);
    own.unwrap_or(match room {
        Room::Admission => "DatabaseConnectionsNearLimit",
        Room::Storage => "DatabaseStorageFilling",
        _ => AT_RISK,
    })
}

/// The labels of an incident as it is now. The service's own come first, so that none of them hides one of these.
pub(super) fn labels(incident: &Incident, service: Option<&Labels>) -> Labels {
    let own = service.into_iter().flatten().filter(|(_, value)| !value.is_empty());
    let mut labels: Labels = own.map(|(name, value)| (label(name), value.clone())).collect();
    let severity = severity(incident.severity);
    for (name, value) in [
        ("alertname", name(incident.severity, incident.room, &incident.cause)),
        ("service", incident.service.as_str()),
        ("cause", incident.cause.as_str()),
        ("severity", severity),
        ("room", incident.room.as_str()),
    ] {
        labels.insert(name.to_owned(), value.to_owned());
    }
    labels
}

/// The labels that an incident has, with those of another one of its services.
pub(super) fn as_of(service: &str, labels: &Labels, own: Option<&Labels>) -> Labels {
    let own = own.into_iter().flatten().filter(|(_, value)| !value.is_empty());
    let mut of_service: Labels = own.map(|(name, value)| (label(name), value.clone())).collect();
    let shared = ["alertname", "cause", "severity", "room"];
    of_service.extend(
        shared.iter().filter_map(|name| labels.get_key_value(*name)).map(|(n, v)| (n.clone(), v.clone())),
    );
    of_service.insert("service".to_owned(), service.to_owned());
    of_service
}

/// A severity as labels have it.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// A name that Prometheus takes for a label: `[a-zA-Z_][a-zA-Z0-9_]*` (Prometheus, "Data model"). What it does not take
/// becomes `_`.
fn label(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() {
        format!("_{plain}")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_critical_incident_is_the_runbooks_alert_whatever_its_cause() {
        for room in Room::ALL {
            assert_eq!(name(Severity::Critical, room, "lock-pile-up"), "DatabaseConnectionFailure");
        }
    }

    #[test]
    fn a_warning_has_the_name_of_the_rule_that_it_stands_for() {
        let name = |room, cause| name(Severity::Warning, room, cause);
        assert_eq!(name(Room::Admission, "slots-nearly-exhausted"), "DatabaseConnectionsNearLimit");
        assert_eq!(name(Room::App, "pool-starved"), "DatabasePoolWaiting");
        assert_eq!(name(Room::App, "pool-leak"), "DatabasePoolSaturated");
        assert_eq!(name(Room::Storage, "disk-filling"), "DatabaseStorageFilling");
        assert_eq!(name(Room::Sessions, "lock-pile-up"), "DatabaseLocksPilingUp");
        assert_eq!(name(Room::Tls, "certificate-expired"), "DatabaseConnectionAtRisk");
    }

    #[test]
    fn every_cause_that_has_a_rule_of_its_own_is_one() {
        let known: BTreeSet<_> = pgmedic_path::rooms::causes().map(|cause| cause.id).collect();
        for (cause, _) in BY_CAUSE {
            assert!(known.contains(cause), "{cause}");
        }
    }

    #[test]
    fn a_services_labels_are_carried_and_hide_none_of_ours() {
        let own = [
            ("team", "render"),
            ("severity", "none"),
            ("app.kubernetes.io/name", "x"),
            ("9", "y"),
            ("e", ""),
        ];
        let own: Labels = own.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let labels = labels(&sample::incident(), Some(&own));
        assert_eq!(labels["team"], "render");
        assert_eq!(labels["severity"], "critical");
        assert_eq!(labels["app_kubernetes_io_name"], "x");
        assert_eq!(labels["_9"], "y");
        assert!(!labels.contains_key("e"), "an empty label is none");
        assert_eq!(labels["service"], "renderflow");
        assert_eq!(labels["cause"], "slots-exhausted");
        assert_eq!(labels["room"], "admission");
    }
}
