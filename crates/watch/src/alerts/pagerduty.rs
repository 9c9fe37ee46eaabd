//! PagerDuty's Events API v2, `POST /v2/enqueue`: `trigger` and `resolve` with the incident's id as `dedup_key`, so that a
//! repeat adds nothing. It never acknowledges: that is for the person who takes it on.

use super::labels::severity;
use super::letter::Letter;
use super::render::{Message, Setting};
use super::words;
use pgmedic_model::Secret;
use ring::digest;
use serde_json::json;
use std::fmt::Write as _;

/// Characters of `payload.summary` (PagerDuty, "Send an alert event").
const SUMMARY: usize = 1024;
/// Characters of `dedup_key`.
const DEDUP: usize = 255;

/// The request. The key is in its body: that is where the API wants it.
pub(super) fn message(letter: &Letter, setting: &Setting<'_>) -> Message {
    let incident = &letter.incident;
    let key = setting.key.map_or("", Secret::reveal);
    let mut event = json!({
        "routing_key": key,
        "event_action": if letter.is_last() { "resolve" } else { "trigger" },
        "dedup_key": dedup(&incident.id),
    });
    if !letter.is_last() {
        let (plan, command) = words::remedy(incident).unwrap_or_default();
        let mut links = vec![
            json!({ "href": words::runbook(incident), "text": "What this cause is, and what mends it" }),
        ];
        if let Some(link) = words::here(setting.external_url, incident) {
            links.push(json!({ "href": link, "text": "The incident" }));
            event["client_url"] = link.into();
        }
        event["client"] = "pgmedic".into();
        event["links"] = links.into();
        event["payload"] = json!({
            "summary": words::cut(&words::headline(letter.change, incident), SUMMARY),
            "source": incident.service,
            "severity": severity(incident.severity),
            "timestamp": incident.opened_at,
            "component": incident.room,
            "class": incident.cause,
            "custom_details": {
                "evidence": words::evidence(incident),
                "done": words::done(incident),
                "remedy": words::cut(plan, SUMMARY),
                "command": words::cut(command, 4 * SUMMARY),
                "services": words::services(incident),
                "shared": incident.shared,
                "labels": letter.labels,
            },
        });
    }
    Message { headers: Vec::new(), body: event.to_string() }
}

/// The incident's id, or, where that is too long, its digest.
fn dedup(id: &str) -> String {
    if id.chars().count() <= DEDUP {
        return id.to_owned();
    }
    let digest = digest::digest(&digest::SHA256, id.as_bytes());
    digest.as_ref().iter().fold(String::from("pgmedic-"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
