//! Incidents for people: a line each, one on a screen, and the post-mortem's Markdown.

use super::style::{Look, Paint};
use super::text::{ascii, visible};
use pgmedic_model::{Report, StepOutcome};
use pgmedic_path::journal::incidents::{Incident, Step};
use std::fmt::Write as _;

/// Facts of each root in a post-mortem.
const FACTS: usize = 8;

/// A line each.
pub(crate) fn list(list: &[Incident], look: &Look) -> String {
    if list.is_empty() {
        return "no incidents: nothing was mended here yet\n".to_owned();
    }
    list.iter().map(|i| line(i, look)).collect()
}

fn line(i: &Incident, look: &Look) -> String {
    let (paint, word) = ended(i);
    let text = format!("{}  {}", i.causes.join(", "), i.summary);
    let text = if look.unicode { visible(&text) } else { ascii(&visible(&text)) };
    format!("{}  {}  {text}\n", i.id, look.paint(paint, word))
}

const fn ended(i: &Incident) -> (Paint, &'static str) {
    match i.recovered {
        Some(true) => (Paint::Good, "mended"),
        Some(false) => (Paint::Bad, "not mended"),
        None => (Paint::Warning, "open"),
    }
}

/// One incident on a screen.
pub(crate) fn screen(i: &Incident, look: &Look) -> String {
    let (paint, word) = ended(i);
    let mut out = format!("{}  {}\n\n", i.id, look.paint(paint, word));
    for (at, what) in timeline(i) {
        let what = if look.unicode { visible(&what) } else { ascii(&visible(&what)) };
        let _infallible = writeln!(out, "{at}  {what}");
    }
    out
}

/// Everything that happened, in order, each with its time.
fn timeline(i: &Incident) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if let Some(before) = &i.before {
        for root in before.roots() {
            lines.push((before.started_at.to_string(), format!("found {}: {}", root.cause, root.summary)));
        }
    }
    for step in &i.steps {
        let on = step.on.as_ref().map(|on| format!(" ({on})")).unwrap_or_default();
        lines.push((
            step.at.to_string(),
            format!("{} on {}{on}, for {}", step.remedy, step.target, step.cause),
        ));
        let at = step.ended_at.unwrap_or(step.at).to_string();
        lines.push((at, format!("  {}: {}", outcome(step), step.detail)));
        if !step.request_ids.is_empty() {
            lines.push((step.at.to_string(), format!("  requests {}", step.request_ids.join(", "))));
        }
        if let Some(undo) = &step.undo {
            lines.push((step.at.to_string(), format!("  undo: {undo}")));
        }
    }
    lines.push((i.last_at.to_string(), i.summary.clone()));
    lines
}

const fn outcome(step: &Step) -> &'static str {
    match step.outcome {
        Some(StepOutcome::Applied) => "applied",
        Some(StepOutcome::Refused) => "refused",
        Some(StepOutcome::Failed) => "failed",
        Some(StepOutcome::NotNeeded) => "not needed",
        None => "not known",
    }
}

/// A line each, for a document.
pub(crate) fn table(list: &[Incident]) -> String {
    let mut out = "| incident | service | causes | outcome | summary |\n|---|---|---|---|---|\n".to_owned();
    for i in list {
        let _infallible = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            cell(&i.id),
            cell(&i.service),
            cell(&i.causes.join(", ")),
            ended(i).1,
            cell(&i.summary)
        );
    }
    out
}

fn cell(text: &str) -> String {
    visible(text).replace('|', "\\|")
}

/// The post-mortem: what was found, on what evidence, what was done, what came of it.
pub(crate) fn post_mortem(i: &Incident) -> String {
    let mut out = format!("# Incident {}\n\n", cell(&i.id));
    let _ok = writeln!(
        out,
        "- Service: {}\n- Opened: {}\n- Outcome: {}\n",
        cell(&i.service),
        i.opened_at,
        cell(&i.summary)
    );
    if let Some(before) = &i.before {
        out += &found(before);
    }
    out += "## Timeline\n\n";
    for (at, what) in timeline(i) {
        let _ok = writeln!(out, "- {at} {}", cell(what.trim_start()));
    }
    out += &sessions(i);
    if let Some(after) = i.after.as_ref().filter(|_| i.recovered != Some(true)) {
        out += "\n## What is still wrong\n\n";
        for root in after.roots() {
            let _ok = writeln!(out, "- {}: {}", root.cause, cell(&root.summary));
        }
    }
    out += "\n## What prevents it\n\n";
    for cause in &i.causes {
        let _ok = writeln!(out, "- `pgmedic explain {cause}`");
    }
    out
}

fn found(report: &Report) -> String {
    let mut out = "## What was found\n\n".to_owned();
    for root in report.roots() {
        let confidence = super::human::confidence(root.confidence);
        let _ok = writeln!(out, "**{}** ({confidence}): {}\n", root.cause, cell(&root.summary));
        for fact in root.evidence.iter().take(FACTS) {
            let _ok =
                writeln!(out, "- {} {}, {}: {}", fact.at, fact.way, cell(&fact.place), cell(&fact.fact));
        }
        out.push('\n');
    }
    out
}

/// Who was ended, one by one: it must be possible to say so afterwards.
fn sessions(i: &Incident) -> String {
    let all: Vec<_> = i.steps.iter().flat_map(|s| &s.sessions).collect();
    if all.is_empty() {
        return String::new();
    }
    let mut out = "\n## Sessions\n\n| pid | backend_start | application | role | state | ended |\n|---|---|---|---|---|---|\n".to_owned();
    for s in all {
        let gone = if s.terminated { "yes" } else { "no" };
        let _ok = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {gone} |",
            s.pid,
            s.backend_start,
            cell(&s.application_name),
            cell(&s.usename),
            cell(&s.state)
        );
    }
    out
}
