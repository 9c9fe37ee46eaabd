//! A fix for a person: the finding, the plan with its blast radius, each step as it is taken, the verdict.

use super::style::{Look, Paint};
use super::text::{ascii, visible, wrap_at_most};
use pgmedic_model::{FixReport, FixStep, Permit, PlanStep, Report, Status, StepOutcome};
use pgmedic_path::fix::News;

/// Lines that a wrapped sentence may take.
const LINES: usize = 4;
/// Steps shown that only a person may take, or that are not allowed.
const OTHERS: usize = 6;

/// What happened, in lines.
pub(crate) fn news(news: &News<'_>, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    match news {
        News::Found(report) => page.found(report),
        News::Planned(steps) => page.plan(steps),
        News::Resumed(incident) => page.sentence(
            "",
            &format!(
                "goes on with incident {} of {}; {} step(s) so far",
                incident.id,
                incident.opened_at,
                incident.steps.len()
            ),
        ),
        News::Begun(step) => {
            let name = look.paint(Paint::Strong, &step.remedy);
            page.line(&format!("\ndoing     {name} on {}", page.text(&step.target)));
        }
        News::Ended(step) => page.ended(step),
        News::Well(after) => {
            let well = look.paint(Paint::Good, "well");
            page.line(&format!("{well}      after {after}; now it must stay so"));
        }
    }
    page.out
}

/// The question before a step.
pub(crate) fn question(step: &PlanStep, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    page.line("");
    page.step(step);
    page.out.push_str("Apply it? [y/N] ");
    page.out
}

/// The verdict.
pub(crate) fn end(report: &FixReport, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    let (paint, word) = match (report.recovered, report.after.is_some()) {
        (true, _) => (Paint::Good, "mended"),
        (false, false) => (Paint::Strong, "nothing was done"),
        (false, true) => (Paint::Bad, "not mended"),
    };
    let applied = report.steps.iter().any(|s| s.outcome == StepOutcome::Applied);
    let word = if report.recovered && !applied { "well" } else { word };
    page.line(&format!("\n{}  {}", look.paint(paint, word), page.text(&report.summary)));
    if let Some(after) = report.after.as_ref().filter(|_| !report.recovered) {
        page.found(after);
    }
    if let Some(id) = &report.incident {
        let command = format!("pgmedic incidents show {id}");
        page.line(&format!("record    {}", look.paint(Paint::Command, &command)));
    }
    page.out
}

struct Page {
    look: Look,
    out: String,
}

impl Page {
    fn text(&self, text: &str) -> String {
        let text = visible(text);
        if self.look.unicode { text } else { ascii(&text) }
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// A word, and a sentence wrapped behind it.
    fn sentence(&mut self, word: &str, text: &str) {
        let text = self.text(text);
        let indent = 14;
        for (number, line) in
            wrap_at_most(&text, self.look.width.saturating_sub(indent), LINES).iter().enumerate()
        {
            let head = if number == 0 { word } else { "" };
            self.line(&format!("  {head:<12}{line}"));
        }
    }

    fn found(&mut self, report: &Report) {
        let paint = match report.status {
            Status::Ok => Paint::Good,
            Status::Warning => Paint::Warning,
            Status::Critical => Paint::Bad,
            Status::Unknown => Paint::Strong,
        };
        let status = self.look.paint(paint, &report.status.as_str().to_uppercase());
        self.line(&format!("{}  {status} in {}", self.text(&report.service), report.elapsed_ms));
        for root in report.roots() {
            let confidence = super::human::confidence(root.confidence);
            self.line(&format!("  {} ({confidence})", self.look.paint(Paint::Strong, &root.cause)));
            self.sentence("", &root.summary);
        }
    }

    fn plan(&mut self, steps: &[PlanStep]) {
        let (may, others): (Vec<_>, Vec<_>) = steps.iter().partition(|s| s.permit == Permit::Yes);
        if may.is_empty() {
            self.line("\nPlan: nothing that is allowed would mend it");
        } else {
            self.line("\nPlan, least disruptive first; each only if the one before did not do");
        }
        for (number, step) in may.iter().enumerate() {
            self.line("");
            self.out.push_str(&format!("{}. ", number + 1));
            self.step(step);
        }
        for step in others.iter().take(OTHERS) {
            let (mark, why) = match &step.permit {
                Permit::Yes => continue,
                Permit::Person(why) => ("for a person", why),
                Permit::NotAllowed(why) => ("not allowed", why),
                Permit::Closed(why) => ("closed", why),
                Permit::Done(why) => ("done before", why),
            };
            let mark = self.look.paint(Paint::Warning, mark);
            self.line(&format!("\n-  {} [{}]: {mark}: {}", step.remedy, step.kind.as_str(), self.text(why)));
            self.sentence("what", &step.plan);
            self.sentence("by hand", &step.command);
        }
    }

    fn step(&mut self, step: &PlanStep) {
        let name = self.look.paint(Paint::Strong, &step.remedy);
        self.line(&format!(
            "{name} [{}] on {}, for {}",
            step.kind.as_str(),
            self.text(&step.target),
            step.cause
        ));
        self.sentence("what", &step.plan);
        self.sentence("touches", &step.radius);
        self.sentence("only if", &step.precondition);
        self.sentence("proved by", &step.verification);
        self.sentence("if it fails", &step.on_failure);
        if let Some(undo) = &step.undo {
            self.sentence("undo", undo);
        }
    }

    fn ended(&mut self, step: &FixStep) {
        let (paint, word) = match step.outcome {
            StepOutcome::Applied => (Paint::Good, "applied"),
            StepOutcome::Refused => (Paint::Warning, "refused"),
            StepOutcome::Failed => (Paint::Bad, "failed"),
            StepOutcome::NotNeeded => (Paint::Dim, "not needed"),
        };
        let word = self.look.paint(paint, word);
        self.line(&format!("{word}   {} ({})", self.text(&step.detail), step.elapsed_ms));
        if let Some(undo) = &step.undo {
            self.sentence("undo", undo);
        }
    }
}
