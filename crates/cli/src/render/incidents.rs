//! Incidents for people: a line each, and of the record one on a screen and its post-mortem in Markdown. Not in here: one of
//! the daemon's (`watched`).

pub(crate) mod watched;

use super::style::{Look, Paint};
use super::text::{ascii, visible};
use pgmedic_model::{Report, StepOutcome, Timestamp};
use pgmedic_path::journal::incidents::Incident;
use pgmedic_watch::incident::Incident as Watched;
use std::fmt::Write as _;

/// Facts of each root in a post-mortem.
const FACTS: usize = 8;

/// One of those that are shown.
pub(crate) enum Shown<'a> {
    /// The daemon's, with what the record has of the acts for it.
    Watch(&'a Watched, Vec<&'a Incident>),
    /// The record's alone.
    Fix(&'a Incident),
}

impl Shown<'_> {
    /// When it was opened.
    pub(crate) const fn opened_at(&self) -> Timestamp {
        match self {
            Self::Watch(w, _) => w.opened_at,
            Self::Fix(i) => i.opened_at,
        }
    }
}

/// A line each; what was done for one of the daemon's below it.
pub(crate) fn list(list: &[Shown<'_>], look: &Look) -> String {
    if list.is_empty() {
        return "no incidents: nothing was mended here yet\n".to_owned();
    }
    let mut out = String::new();
    for one in list {
        match one {
            Shown::Fix(i) => out += &line(i, look),
            Shown::Watch(w, fixes) => {
                let (paint, word) = watched::stands(w);
                let text = format!("{}  {}: {}", w.cause, watched::services(w), w.summary);
                out += &row(&w.id, paint, word, &text, look);
                for fix in fixes {
                    out += "  fix ";
                    out += &line(fix, look);
                }
            }
        }
    }
    out
}

fn line(i: &Incident, look: &Look) -> String {
    let (paint, word) = ended(i);
    row(&i.id, paint, word, &format!("{}  {}", i.causes.join(", "), i.summary), look)
}

fn row(id: &str, paint: Paint, word: &str, text: &str, look: &Look) -> String {
    let text = if look.unicode { visible(text) } else { ascii(&visible(text)) };
    format!("{}  {}  {text}\n", visible(id), look.paint(paint, word))
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
        lines.push((at, format!("  {}: {}", outcome(step.outcome), step.detail)));
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

const fn outcome(outcome: Option<StepOutcome>) -> &'static str {
    match outcome {
        Some(StepOutcome::Applied) => "applied",
        Some(StepOutcome::Refused) => "refused",
        Some(StepOutcome::Failed) => "failed",
        Some(StepOutcome::NotNeeded) => "not needed",
        None => "not known",
    }
}

/// A line each, for a document.
pub(crate) fn table(list: &[Shown<'_>]) -> String {
    let mut out = "| incident | service | causes | outcome | summary |\n|---|---|---|---|---|\n".to_owned();
    for one in list {
        match one {
            Shown::Fix(i) => table_row(&mut out, &i.id, i),
            Shown::Watch(w, fixes) => {
                let cells = [&w.id, &watched::services(w), &w.cause, watched::stands(w).1, &w.summary];
                let _infallible = writeln!(out, "| {} |", cells.map(cell).join(" | "));
                for fix in fixes {
                    table_row(&mut out, &format!("fix {}", fix.id), fix);
                }
            }
        }
    }
    out
}

fn table_row(out: &mut String, name: &str, i: &Incident) {
    let causes = i.causes.join(", ");
    let cells = [name, &i.service, &causes, ended(i).1, &i.summary];
    let _infallible = writeln!(out, "| {} |", cells.map(cell).join(" | "));
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
