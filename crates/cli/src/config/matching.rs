//! `match` of an alert, held against what there is to be matched: a name or a value that no incident can have is a mistake, which
//! would silence its receiver. Not in here: matching (`pgmedic_watch::alerts`).

use super::Entry;
use super::document::{At, Document, Pair};
use super::error::{ConfigError, Show};
use super::watch::Alert;
use pgmedic_model::Room;
use pgmedic_model::policy::matches;
use std::collections::BTreeSet;

/// Names of alerts are not among them: they follow from severity, room and cause.
const OWN: [&str; 4] = ["service", "cause", "severity", "room"];

/// Sees that every `match` can be fulfilled.
pub(super) fn check(document: Document<'_>, alerts: &[Alert], services: &[Entry]) -> Result<(), ConfigError> {
    alerts.iter().flat_map(|alert| &alert.only).try_for_each(|pair| one(document, pair, services))
}

fn one(document: Document<'_>, (name, value): &Pair, services: &[Entry]) -> Result<(), ConfigError> {
    let labels: BTreeSet<&str> = services.iter().flat_map(|s| s.labels.keys().map(String::as_str)).collect();
    let values: Vec<&str> = match name.value.as_str() {
        "service" => services.iter().map(|service| service.name.value.as_str()).collect(),
        "cause" => pgmedic_path::rooms::pages().map(|cause| cause.id).collect(),
        "severity" => vec!["warning", "critical"],
        "room" => Room::ALL.iter().map(|room| room.as_str()).collect(),
        label if labels.contains(label) => {
            services.iter().filter_map(|service| service.labels.get(label)).map(String::as_str).collect()
        }
        other => {
            let problem = format!(
                "match: {} is no label of an alert: service, cause, severity, room, or a label of a service",
                other.escape_debug()
            );
            let names = OWN.into_iter().chain(labels.iter().copied());
            return Err(document.error(name.span.clone(), problem, Show::Text).near(other, names));
        }
    };
    if values.iter().any(|has| matches(&value.value, has)) {
        return Ok(());
    }
    let At { value: pattern, span } = value;
    let problem =
        format!("match: no {} is {}: its receiver would hear of nothing", name.value, pattern.escape_debug());
    Err(document.error(span.clone(), problem, Show::Text).near(pattern, values))
}
