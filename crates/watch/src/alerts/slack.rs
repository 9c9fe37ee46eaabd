//! A Slack incoming webhook: a short message in blocks with a text for notifications. Escapes what Slack would take for
//! markup (`&`, `<`, `>`: mentions and links), and stays within its limits: 3,000 characters for a section's text, 50 blocks.

use super::letter::Letter;
use super::render::{Message, Setting};
use super::words;
use crate::incident::Change;
use pgmedic_model::Severity;
use serde_json::{Value, json};

/// Characters of a section's text before it is escaped; `&` becomes five.
const SECTION: usize = 2900;
/// Characters of the first line.
const HEADLINE: usize = 600;
/// Facts that are shown in a channel.
const FACTS: usize = 5;

/// The request.
pub(super) fn message(letter: &Letter, setting: &Setting<'_>) -> Message {
    let incident = &letter.incident;
    let mark = match (letter.change, incident.severity) {
        (Change::Closed, _) => ":large_green_circle:",
        (_, Severity::Critical) => ":red_circle:",
        (_, Severity::Warning) => ":large_yellow_circle:",
    };
    let headline = escaped(&words::headline(letter.change, incident), HEADLINE);
    let mut blocks = vec![section(&format!("{mark} *{headline}*"))];
    if letter.change == Change::Opened {
        let facts: Vec<_> = words::evidence(incident).into_iter().take(FACTS).collect();
        blocks.extend(list(&facts));
    }
    blocks.extend(list(&words::done(incident)));
    if letter.change != Change::Closed
        && let Some((plan, command)) = words::remedy(incident)
    {
        let plan = escaped(plan, SECTION / 2);
        let command = escaped(command, SECTION / 2);
        blocks.push(section(&format!("{plan}\n```{command}```")));
    }
    blocks.push(
        json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": foot(letter, setting) }] }),
    );
    Message {
        headers: Vec::new(),
        body: json!({ "text": format!("{mark} {headline}"), "blocks": blocks }).to_string(),
    }
}

/// Cause, room, services, and where to read on.
fn foot(letter: &Letter, setting: &Setting<'_>) -> String {
    let incident = &letter.incident;
    let cause = format!("<{}|{}>", words::runbook(incident), escaped(&incident.cause, 100));
    let mut parts = vec![format!("cause {cause} ({})", incident.room)];
    if incident.services.len() > 1 {
        parts.push(escaped(&words::services(incident), SECTION / 2));
    }
    let id = escaped(&incident.id, 200);
    parts.push(match words::here(setting.external_url, incident) {
        Some(link) => format!("<{}|{id}>", escaped(&link, 500).replace('|', "%7C")),
        None => id,
    });
    parts.join(" · ")
}

fn list(lines: &[String]) -> Option<Value> {
    let text: Vec<_> = lines.iter().map(|line| format!("• {line}")).collect();
    (!lines.is_empty()).then(|| section(&escaped(&text.join("\n"), SECTION)))
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// The text without markup (Slack, "Formatting text for app surfaces": these three characters and no others), at most
/// `limit` characters of it after escaping.
fn escaped(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    // What would open or close a block of code is no part of any text.
    for c in text.replace("```", "'''").chars() {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        length += piece.len().max(1);
        if length > limit.saturating_sub(1) {
            out.push('…');
            break;
        }
        if piece.is_empty() { out.push(c) } else { out.push_str(piece) }
    }
    out
}
