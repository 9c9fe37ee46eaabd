//! Alertmanager's API v2, `POST /api/v2/alerts`: an array of alerts, each known by its labels (Alertmanager,
//! `api/v2/openapi.yaml`, `postableAlerts`). One that lasts is said again before its `endsAt`, as Prometheus does.

use super::letter::{Labels, Letter};
use super::render::{Message, Setting};
use super::words;
use pgmedic_model::Timestamp;
use serde_json::{Value, json};

/// Characters of an annotation.
const ANNOTATION: usize = 4000;

/// Several alerts in one request.
pub(super) fn message(letters: &[&Letter], setting: &Setting<'_>) -> Message {
    let alerts: Vec<Value> = letters.iter().flat_map(|letter| alerts(letter, setting)).collect();
    Message { headers: Vec::new(), body: Value::Array(alerts).to_string() }
}

/// The alert, and before it the one that it was until its severity rose.
fn alerts(letter: &Letter, setting: &Setting<'_>) -> Vec<Value> {
    let incident = &letter.incident;
    // Never before `startsAt`: Alertmanager refuses such an alert.
    let ended = |at: Timestamp| at.min(setting.now).max(incident.opened_at);
    let ends = if letter.is_last() {
        ended(incident.closed_at.unwrap_or(setting.now))
    } else {
        setting.firing_until.max(incident.opened_at)
    };
    let outgrown = letter.outgrown.as_ref().map(|(labels, at)| alert(letter, labels, ended(*at), setting));
    outgrown.into_iter().chain([alert(letter, &letter.labels, ends, setting)]).collect()
}

fn alert(letter: &Letter, labels: &Labels, ends: Timestamp, setting: &Setting<'_>) -> Value {
    let incident = &letter.incident;
    let mut description = words::evidence(incident);
    description.extend(words::done(incident));
    let (plan, command) = words::remedy(incident).unwrap_or_default();
    let mut annotations = json!({
        "summary": words::cut(&words::headline(letter.change, incident), ANNOTATION),
        "description": words::cut(&description.join("\n"), ANNOTATION),
        "runbook_url": words::runbook(incident),
        "services": words::services(incident),
        "incident": incident.id,
        "cause_now": incident.cause,
    });
    if !command.is_empty() {
        annotations["remedy"] = words::cut(command, ANNOTATION).into();
        annotations["remedy_plan"] = words::cut(plan, ANNOTATION).into();
    }
    if let Some(shared) = &incident.shared {
        annotations["shared"] = shared.as_str().into();
    }
    let mut alert = json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": incident.opened_at,
        "endsAt": ends,
    });
    if let Some(link) = words::here(setting.external_url, incident) {
        alert["generatorURL"] = link.into();
    }
    alert
}
