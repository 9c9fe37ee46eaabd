//! An incident of the daemon's for people, with what `pgmedic fix` recorded of the acts for it: one timeline, nothing in it
//! twice. Not in here: incidents of the record alone.

use super::{cell, found, outcome, sessions};
use crate::render::human::confidence;
use crate::render::style::{Look, Paint};
use crate::render::text::{ascii, visible};
use pgmedic_model::{Ms, Severity, Timestamp};
use pgmedic_path::journal::incidents::{Incident as Fix, Step};
use pgmedic_watch::incident::{Act, Incident};
use std::fmt::Write as _;

/// Services of one incident that are told one by one.
const SERVICES: usize = 20;

/// How it stands, in a word.
pub(super) const fn stands(i: &Incident) -> (Paint, &'static str) {
    match (i.is_open(), i.escalated) {
        (false, _) => (Paint::Good, "closed"),
        (true, false) => (Paint::Warning, "open"),
        (true, true) => (Paint::Bad, "open, a person is needed"),
    }
}

/// Its services in a few words.
pub(super) fn services(i: &Incident) -> String {
    match i.services.len().saturating_sub(1) {
        0 => i.service.clone(),
        more => format!("{} and {more} more", i.service),
    }
}

/// One incident on a screen.
pub(crate) fn screen(i: &Incident, fixes: &[&Fix], look: &Look) -> String {
    let plain = |text: &str| if look.unicode { visible(text) } else { ascii(&visible(text)) };
    let (paint, word) = stands(i);
    let mut out = format!(
        "{}  {}  {}  {}\n",
        plain(&i.id),
        look.paint(paint, word),
        plain(&i.cause),
        plain(&i.summary)
    );
    for fix in fixes {
        let _infallible = writeln!(out, "with the record of pgmedic fix: {}", plain(&fix.id));
    }
    out.push('\n');
    for (at, what) in timeline(i, fixes) {
        let _infallible = writeln!(out, "{at}  {}", plain(&what));
    }
    out
}

/// The post-mortem: what was found, on what evidence, what was done by whom, and what proved that it was over.
pub(crate) fn post_mortem(i: &Incident, fixes: &[&Fix]) -> String {
    let mut out = format!("# Incident {}\n\n", cell(&i.id));
    let _ok = writeln!(out, "- Service: {}\n- Opened: {}", cell(&services(i)), i.opened_at);
    if let Some(shared) = &i.shared {
        let _ok = writeln!(out, "- Shared: {}", cell(shared));
    }
    let _ok = match (i.closed_at, &i.proof) {
        (Some(at), proof) => {
            let proof = proof.as_deref().map(|proof| format!(", on proof: {}", cell(proof)));
            let lasted = Ms((at.0 - i.opened_at.0) as f64);
            writeln!(out, "- Closed: {at}, after {lasted}\n- Outcome: closed{}", proof.unwrap_or_default())
        }
        (None, _) => writeln!(out, "- Outcome: {}", stands(i).1),
    };
    let _ok = writeln!(out, "- Severity: {}", severity(i.severity));
    for fix in fixes {
        let _ok = writeln!(out, "- Record of `pgmedic fix`: {}", cell(&fix.id));
    }
    out.push('\n');
    out += &i.report.as_deref().map_or_else(|| evidence(i), found);
    out += "## Timeline\n\n";
    for (at, what) in timeline(i, fixes) {
        let _ok = writeln!(out, "- {at} {}", cell(&what));
    }
    for fix in fixes {
        out += &sessions(fix);
    }
    if i.is_open() {
        let _ok = write!(out, "\n## What is still wrong\n\n- {}: {}\n", i.cause, cell(&i.summary));
    }
    out += "\n## What prevents it\n\n";
    let mut causes: Vec<&str> = Vec::new();
    for cause in i.causes.iter().map(|named| &named.cause).chain([&i.cause]) {
        if !causes.contains(&cause.as_str()) {
            causes.push(cause);
            let _ok = writeln!(out, "- `pgmedic explain {}`", cell(cause));
        }
    }
    out
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// What was found, where the report is not kept.
fn evidence(i: &Incident) -> String {
    let sure = confidence(i.confidence);
    let mut out = format!("## What was found\n\n**{}** ({sure}): {}\n\n", i.first_cause(), cell(summary(i)));
    for fact in &i.evidence {
        let _ok = writeln!(out, "- {} {}, {}: {}", fact.at, fact.way, cell(&fact.place), cell(&fact.fact));
    }
    out.push('\n');
    out
}

/// Its summary when it was opened.
fn summary(i: &Incident) -> &str {
    i.causes.first().map_or(&i.summary, |named| &named.summary)
}

/// Everything that happened, in order.
fn timeline(i: &Incident, fixes: &[&Fix]) -> Vec<(Timestamp, String)> {
    let mut lines =
        vec![(i.opened_at, format!("opened for {}: {}: {}", i.service, i.first_cause(), summary(i)))];
    for named in i.causes.iter().skip(1) {
        lines.push((named.at, format!("named {} now: {}", named.cause, named.summary)));
    }
    lines.extend(of_services(i));
    if let Some(at) = i.back_at {
        lines.push((at, format!("came back after it had seemed to be over; so far {} times", i.flaps)));
    }
    lines.extend(i.actions.iter().map(act));
    for fix in fixes {
        lines.extend(of_fix(fix, &i.actions));
    }
    let last = i.closed_at.unwrap_or(i.updated_at);
    let noted = i.updated_at.min(last);
    if let Some(held) = &i.held {
        lines.push((noted, format!("nothing is done by itself: {held}")));
    }
    if i.escalated {
        lines.push((noted, format!("a person is needed: {} fixes did not make it well", i.failed_fixes)));
    }
    lines.sort_by_key(|(at, _)| *at);
    match (i.closed_at, &i.proof) {
        (Some(at), proof) => {
            lines.push((at, "closed".to_owned()));
            lines.extend(proof.iter().map(|proof| (at, format!("proof: {proof}"))));
        }
        (None, _) => lines.push((last, format!("last changed; {}: {}", i.cause, i.summary))),
    }
    lines
}

/// When each other service came to have it, and when each was well.
fn of_services(i: &Incident) -> Vec<(Timestamp, String)> {
    if i.services.len() < 2 {
        return Vec::new();
    }
    let mut all: Vec<_> = i.services.iter().collect();
    all.sort_by_key(|(name, affected)| (**name != i.service, affected.since));
    let mut lines = Vec::new();
    for (name, affected) in all.iter().take(SERVICES) {
        if **name != i.service {
            lines.push((affected.since, format!("{name} has it, too: {}", affected.summary)));
        }
        if let Some(until) = affected.until {
            lines.push((until, format!("{name} is well")));
        }
    }
    if let Some((_, next)) = all.get(SERVICES) {
        lines.push((next.since, format!("{} services more have it, or had it", all.len() - SERVICES)));
    }
    lines
}

fn act(act: &Act) -> (Timestamp, String) {
    let ended = act.outcome.map_or("in hand", |ended| outcome(Some(ended)));
    let Act { remedy, target, service, by, detail, .. } = act;
    (act.at, format!("{remedy} on {target} for {service}, by {by}: {ended}: {detail}"))
}

/// What the record knows besides: what the acts do not tell of.
fn of_fix(fix: &Fix, acts: &[Act]) -> Vec<(Timestamp, String)> {
    let mut lines = Vec::new();
    let is_told = |step: &Step| {
        acts.iter().any(|act| {
            act.record.as_ref() == Some(&fix.id) && act.remedy == step.remedy && act.target == step.target
        })
    };
    for step in &fix.steps {
        let on = step.on.as_ref().map(|on| format!(" ({on})")).unwrap_or_default();
        let deed = format!("{} on {}{on}", step.remedy, step.target);
        if !is_told(step) {
            lines.push((
                step.at,
                format!("{deed}, for {}: {}: {}", step.cause, outcome(step.outcome), step.detail),
            ));
        }
        let at = step.ended_at.unwrap_or(step.at);
        if !step.request_ids.is_empty() {
            lines.push((at, format!("{deed}: requests {}", step.request_ids.join(", "))));
        }
        if let Some(undo) = &step.undo {
            lines.push((at, format!("{deed}: undo: {undo}")));
        }
    }
    lines.push((fix.last_at, format!("pgmedic fix: {}", fix.summary)));
    lines
}
