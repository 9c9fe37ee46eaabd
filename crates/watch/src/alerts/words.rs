//! Words that several receivers are told: an incident in one line, its evidence, what would mend it, where to read on.
//! Texts of an incident are masked already; here they are only cut.

use crate::incident::{Change, Incident};
use pgmedic_model::{Ms, StepOutcome};

/// Facts that are shown.
const FACTS: usize = 10;
/// Actions that are shown, the latest.
const ACTS: usize = 5;
/// Services that are named.
const SERVICES: usize = 20;
/// Characters of one line.
const LINE: usize = 400;

/// At most `limit` characters; where something is left out, `…` says so.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The incident in one line: whom it hits, and what it is.
pub(super) fn headline(change: Change, incident: &Incident) -> String {
    let who = match incident.services.len() {
        0 | 1 => incident.service.clone(),
        many => format!("{} and {} more", incident.service, many - 1),
    };
    match change {
        Change::Opened | Change::Updated => format!("{who}: {}", incident.summary),
        Change::Closed => match incident.closed_at {
            Some(at) => format!("{who}: well again after {}: {}", span(incident, at.0), incident.summary),
            None => format!("{who}: well again: {}", incident.summary),
        },
    }
}

/// From its opening until a point in time, in words.
#[expect(clippy::cast_precision_loss, reason = "a span of days in milliseconds is far below 2^52")]
fn span(incident: &Incident, until: i64) -> Ms {
    Ms((until - incident.opened_at.0).max(0) as f64)
}

/// What proved it, one line each.
pub(super) fn evidence(incident: &Incident) -> Vec<String> {
    let facts = incident.evidence.iter().take(FACTS);
    let mut lines: Vec<_> = facts.map(|fact| cut(&format!("{} ({})", fact.fact, fact.place), LINE)).collect();
    if incident.evidence.len() > FACTS {
        lines.push(format!("and {} facts more", incident.evidence.len() - FACTS));
    }
    lines
}

/// What was done about it, and why nothing more is, one line each.
pub(super) fn done(incident: &Incident) -> Vec<String> {
    let late = incident.actions.len().saturating_sub(ACTS);
    let acts = incident.actions.iter().skip(late).map(|act| {
        let outcome = match act.outcome {
            None => "in hand",
            Some(StepOutcome::Applied) => "done",
            Some(StepOutcome::Refused) => "not begun",
            Some(StepOutcome::Failed) => "failed",
            Some(StepOutcome::NotNeeded) => "no longer needed",
        };
        let detail = if act.detail.is_empty() { String::new() } else { format!(": {}", act.detail) };
        cut(&format!("{} on {} by {}, {outcome}{detail}", act.remedy, act.target, act.by), LINE)
    });
    let mut lines: Vec<_> = acts.collect();
    if let Some(proof) = &incident.proof {
        lines.push(cut(&format!("Proved well: {proof}"), LINE));
    }
    if incident.escalated && incident.is_open() {
        lines.push("The automatic remedies failed: a person is needed.".to_owned());
    }
    if let Some(why) = incident.held.as_ref().filter(|_| incident.is_open()) {
        lines.push(cut(&format!("Nothing is done by itself: {why}"), LINE));
    }
    lines
}

/// What would mend it: the plan, and the command to paste. None where nothing is known.
pub(super) fn remedy(incident: &Incident) -> Option<(&str, &str)> {
    let first = incident.remedies.iter().find(|remedy| !remedy.command.is_empty())?;
    Some((&first.plan, &first.command))
}

/// The services that have or had it: by name, as many as a line holds.
pub(super) fn services(incident: &Incident) -> String {
    let names: Vec<_> = incident.services.keys().take(SERVICES).map(String::as_str).collect();
    let list = names.join(", ");
    match incident.services.len().saturating_sub(SERVICES) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

/// The page of its cause.
pub(super) fn runbook(incident: &Incident) -> String {
    format!("{}/blob/main/docs/causes/{}.md", env!("CARGO_PKG_REPOSITORY"), incident.cause)
}

/// Where this daemon shows the incident, where it is known how people reach it.
pub(super) fn here(external: Option<&str>, incident: &Incident) -> Option<String> {
    let base = external?.trim_end_matches('/');
    Some(format!("{base}/api/v1/incidents/{}", incident.id))
}
