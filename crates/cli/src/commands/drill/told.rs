//! How drills are told to a person: what is well, what is broken, what was found, whether it is well again.

use crate::args::ReportFormat;
use crate::drills::course::{self, Outcome, Record, Step};
use crate::drills::{Drill, table};
use crate::output::stdout;
use crate::render::style::{Look, Paint};
use crate::render::{self, text};
use pgmedic_model::Ms;
use std::time::Instant;

use super::Document;

/// Width of the widest drill's name.
fn name_width() -> usize {
    table::drills().map(|drill| drill.name.len()).max().unwrap_or_default()
}

/// A row of `--list`.
pub(super) fn listed(name: &str, does: &str, needs: &str, look: &Look) -> String {
    let padded = format!("{name:<width$}", width = name_width());
    let needs =
        if needs.is_empty() { String::new() } else { look.paint(Paint::Dim, &format!("  [{needs}]")) };
    format!("{}  {does}{needs}\n", look.paint(Paint::Strong, &padded))
}

/// Several drills, a line each as it ends, and the sum.
pub(super) fn each(drills: &[&Drill], look: &Look) -> Document {
    let from = Instant::now();
    let records = drills.iter().map(|drill| {
        let record = course::run(drill, &mut |_| {});
        stdout(&line(&record, look));
        record
    });
    let document = Document::of(records.collect());
    stdout(&sum(&document, from.elapsed().into(), look));
    document
}

/// One drill's line.
fn line(record: &Record, look: &Look) -> String {
    let (paint, word) = match record.status {
        Outcome::Passed => (Paint::Good, "passed"),
        Outcome::Failed => (Paint::Bad, "FAILED"),
        Outcome::NeedsRoot => (Paint::Warning, "root"),
        Outcome::MissingProgram => (Paint::Warning, "missing"),
    };
    let name = format!("{:<width$}", record.drill, width = name_width());
    let said = match (record.status, record.check_ms, &record.detail) {
        (Outcome::Passed, Some(check), _) => {
            look.paint(Paint::Dim, &format!("found in {check} (whole drill {})", record.elapsed_ms))
        }
        (_, _, Some(detail)) => text::visible(detail),
        _ => String::new(),
    };
    format!("{}  {name}  {said}\n", look.paint(paint, &format!("{word:<7}")))
}

/// The counts.
fn sum(document: &Document, elapsed: Ms, look: &Look) -> String {
    let Document { passed, failed, needs_root, missing, skipped, drills, .. } = document;
    let counts = format!(
        "{} drills in {elapsed}: {passed} passed, {failed} failed, {needs_root} need root, \
         {missing} need a program, {skipped} skipped",
        drills.len()
    );
    let paint = if *failed > 0 { Paint::Bad } else { Paint::Strong };
    format!("\n{}\n", look.paint(paint, &counts))
}

/// One drill with its whole report.
pub(super) fn one(drill: &Drill, look: &Look) -> Record {
    stdout(&margin(look, Paint::Strong, "drill", drill.name));
    let record = course::run(drill, &mut |step| stdout(&show(drill, &step, look)));
    stdout(&verdict(&record, look));
    record
}

/// A word in the margin and what belongs to it.
fn margin(look: &Look, paint: Paint, word: &str, said: &str) -> String {
    format!("{}  {said}\n", look.paint(paint, &format!("{word:<8}")))
}

/// A step as it happens.
fn show(drill: &Drill, step: &Step<'_>, look: &Look) -> String {
    match step {
        Step::Healthy(report) => {
            let said = format!("every room that can be seen is well; checked in {}", report.elapsed_ms);
            margin(look, Paint::Good, "healthy", &said)
        }
        Step::Broken => margin(look, Paint::Bad, "broken", drill.does),
        Step::Found(report) => format!("\n{}\n", render::report(report, ReportFormat::Human, look)),
        Step::Mended => {
            margin(look, Paint::Good, "mended", "the fault is gone, and every room is well again")
        }
    }
}

/// The last word on a drill.
fn verdict(record: &Record, look: &Look) -> String {
    let found = record.check_ms.unwrap_or_default();
    match record.status {
        Outcome::Passed => {
            let what = if record.drill == record.expected {
                format!("found {} and no other root, in {found}", record.drill)
            } else {
                format!("found {} as contributing to {}, in {found}", record.drill, record.expected)
            };
            margin(look, Paint::Good, "passed", &what)
        }
        Outcome::Failed => {
            margin(look, Paint::Bad, "FAILED", &text::visible(record.detail.as_deref().unwrap_or_default()))
        }
        Outcome::NeedsRoot | Outcome::MissingProgram => {
            margin(look, Paint::Warning, "not run", record.detail.as_deref().unwrap_or_default())
        }
    }
}

/// The runbook's faults, each with its report, and a table at the end.
pub(super) fn runbook(look: &Look) -> Vec<Record> {
    let mut records = Vec::new();
    for (n, (title, drill)) in table::runbook().enumerate() {
        let head = format!("{}. {title}", n + 1);
        let rule = if look.unicode { "─" } else { "-" }.repeat(look.width.saturating_sub(head.len() + 1));
        stdout(&format!("\n{} {}\n", look.paint(Paint::Strong, &head), look.paint(Paint::Dim, &rule)));
        records.push(one(drill, look));
    }
    stdout("\n");
    for (record, (title, _)) in records.iter().zip(table::runbook()) {
        let root = record.roots.join(", ");
        let (paint, said) = match (record.status, record.check_ms) {
            (Outcome::Passed, Some(check)) => (Paint::Good, format!("{root} in {check}")),
            (_, _) => (Paint::Warning, text::visible(record.detail.as_deref().unwrap_or_default())),
        };
        stdout(&format!("{title:<28}  {}\n", look.paint(paint, &said)));
    }
    let found = records.iter().filter(|record| record.status == Outcome::Passed).count();
    let sum = format!("{found} of {} faults of the runbook found, each by its root cause", records.len());
    stdout(&format!("{}\n", look.paint(Paint::Strong, &sum)));
    records
}
