//! How drills are told to a person: what is well, what is broken, what was found, whether it is well again.

use crate::args::ReportFormat;
use crate::drills::course::{self, ApiThere, Outcome, Record, Step};
use crate::drills::mending::{self, Expected};
use crate::drills::pair::{self, Proofs};
use crate::drills::verdict::{CameOut, Fate};
use crate::drills::{Drill, steady, table};
use crate::output::stdout;
use crate::render::style::{Look, Paint};
use crate::render::{self, text};
use pgmedic_lab::api::Kind;
use pgmedic_model::{Ms, Role};
use pgmedic_path::fix::News;
use pgmedic_path::journal::incidents::incidents;
use pgmedic_path::journal::read_all;
use std::time::Instant;

use super::{Document, Wanted};

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

/// Several things, a line each as it ends, and the sum.
pub(super) fn each(wanted: &Wanted, look: &Look) -> Document {
    let from = Instant::now();
    let mut proofs = Proofs::default();
    let drills = wanted.drills.iter().map(|drill| {
        let record = course::run(drill, wanted.fix, &mut |_| {});
        stdout(&line(&record, look));
        record
    });
    let drills = drills.collect();
    let pairs = wanted.pairs.iter().map(|two| {
        let record = pair::run(*two, &mut proofs);
        stdout(&pair_line(&record, look));
        record
    });
    let pairs = pairs.collect();
    let healthy = match wanted.checks {
        0 => Vec::new(),
        checks => steady::run(checks, &mut |row| stdout(&row_line(row, look))),
    };
    let document = Document::of(drills, pairs, healthy);
    stdout(&sum(&document, from.elapsed().into(), look));
    document
}

/// The word for an outcome.
const fn word(outcome: Outcome) -> (Paint, &'static str) {
    match outcome {
        Outcome::Passed => (Paint::Good, "passed"),
        Outcome::Failed => (Paint::Bad, "FAILED"),
        Outcome::NeedsRoot => (Paint::Warning, "root"),
        Outcome::MissingProgram => (Paint::Warning, "missing"),
        Outcome::Apart => (Paint::Dim, "apart"),
    }
}

/// A pair's line.
fn pair_line(record: &pair::Record, look: &Look) -> String {
    let (paint, word) = word(record.status);
    let name = format!("{:<width$}", record.pair.join(" + "), width = 2 * name_width() + 3);
    let fates = record.faults.iter().map(fate).collect::<Vec<_>>().join(", ");
    let said = match (record.status, &record.detail) {
        (Outcome::Passed, _) => look.paint(Paint::Dim, &fates),
        (_, Some(detail)) if fates.is_empty() => text::visible(detail),
        (_, Some(detail)) => format!("{fates}; {}", text::visible(detail)),
        (_, None) => fates,
    };
    format!("{}  {name}  {said}\n", look.paint(paint, &format!("{word:<7}")))
}

/// What became of one of two faults, in a clause.
fn fate(fate: &Fate) -> String {
    let (drill, behind) = (fate.drill, fate.behind.unwrap_or_default());
    match fate.came_out {
        CameOut::Root => format!("{drill} found"),
        CameOut::Symptom => format!("{drill} found as a symptom of {behind}"),
        CameOut::Contributing => format!("{drill} found as contributing to {behind}"),
        CameOut::Hidden => format!("{drill} hidden by {behind}"),
        CameOut::Missed => format!("{drill} MISSED"),
    }
}

/// The line of a row of healthy checks.
fn row_line(row: &steady::Record, look: &Look) -> String {
    let (paint, word) = if row.passed() { (Paint::Good, "passed") } else { (Paint::Bad, "FAILED") };
    let first = row.alarms.first().and_then(|alarm| alarm.report.findings.first());
    let first =
        first.map_or(String::new(), |f| format!(", the first: {}: {}", f.cause, text::visible(&f.summary)));
    let trouble = row.detail.as_ref().map_or(String::new(), |detail| format!("; {}", text::visible(detail)));
    let said = format!("{} checks, {} false alarms{first}{trouble}", row.checks, row.alarms.len());
    format!("{}  healthy, under load, {}: {said}\n", look.paint(paint, &format!("{word:<7}")), row.layout)
}

/// One drill's line.
fn line(record: &Record, look: &Look) -> String {
    let (paint, word) = word(record.status);
    let name = format!("{:<width$}", record.drill, width = name_width());
    let said = match (record.status, record.check_ms, &record.detail) {
        (Outcome::Passed, Some(check), _) => {
            let fix = record.fix.as_ref().map_or(String::new(), |fix| format!("; {}", came_of(fix)));
            look.paint(Paint::Dim, &format!("found in {check}{fix} (whole drill {})", record.elapsed_ms))
        }
        (_, _, Some(detail)) => text::visible(detail),
        _ => String::new(),
    };
    format!("{}  {name}  {said}\n", look.paint(paint, &format!("{word:<7}")))
}

/// What came of a fix, in a clause: `mended by restart-proxy in 812 ms`.
fn came_of(fix: &mending::Record) -> String {
    match (fix.right, fix.expected, fix.recovered_after_ms) {
        (true, Expected::Recovers, after) => {
            let after = after.map_or(String::new(), |ms| format!(" in {ms}"));
            format!("mended by {}{after}", fix.remedy.join(", then "))
        }
        (true, Expected::Advice, _) => {
            let command = fix.command.as_deref().unwrap_or_default();
            format!("left for a person: {}", text::visible(command))
        }
        (false, ..) => format!("WRONG: {}", text::visible(&fix.detail)),
    }
}

/// On which API the drills were run, and why where one that could be real was not. Nothing where all had what they are
/// made for.
fn understudied(document: &Document) -> String {
    let why = |record: &Record| record.api.as_ref().filter(|api| api.is != "renderflow")?.why.clone();
    let wanted = |record: &&Record| {
        table::find(record.drill).is_some_and(|drill| drill.parts.api == Some(Kind::Renderflow))
    };
    let missed: Vec<String> = document.drills.iter().filter(wanted).filter_map(why).collect();
    missed.first().map_or(String::new(), |first| {
        format!("{} of them on a stand-in for the API: {}\n", missed.len(), text::visible(first))
    })
}

/// The counts.
fn sum(document: &Document, elapsed: Ms, look: &Look) -> String {
    let Document { passed, failed, needs_root, missing, apart, skipped, drills, pairs, healthy, .. } =
        document;
    let apart = if *apart > 0 { format!("{apart} cannot last together, ") } else { String::new() };
    let counts = format!(
        "{} drills in {elapsed}: {passed} passed, {failed} failed, {needs_root} need root, \
         {missing} need a program, {apart}{skipped} skipped",
        drills.len() + pairs.len() + healthy.len()
    );
    let paint = if *failed > 0 { Paint::Bad } else { Paint::Strong };
    format!("\n{}\n{}", look.paint(paint, &counts), understudied(document))
}

/// One drill with its whole report.
pub(super) fn one(drill: &Drill, fix: bool, look: &Look) -> Record {
    stdout(&margin(look, Paint::Strong, "drill", drill.name));
    let record = course::run(drill, fix, &mut |step| stdout(&show(drill, &step, look)));
    stdout(&verdict(&record, look));
    record
}

/// Two faults at once with the whole report.
pub(super) fn two(drills: [&'static Drill; 2], look: &Look) -> pair::Record {
    stdout(&margin(look, Paint::Strong, "drill", &drills.map(|drill| drill.name).join(" + ")));
    let record = pair::run(drills, &mut Proofs::default());
    if let Some(report) = &record.report {
        for drill in drills {
            stdout(&margin(look, Paint::Bad, "broken", drill.does));
        }
        stdout(&format!("\n{}\n", render::report(report, ReportFormat::Human, look)));
    }
    stdout(&pair_line(&record, look));
    record
}

/// A word in the margin and what belongs to it.
fn margin(look: &Look, paint: Paint, word: &str, said: &str) -> String {
    format!("{}  {said}\n", look.paint(paint, &format!("{word:<8}")))
}

/// The API that is drilled on, and why where it is a stand-in.
fn named(api: &ApiThere) -> String {
    let why = api.why.as_ref().map_or(String::new(), |why| format!(": {}", text::visible(why)));
    format!("{}{why}", api.is)
}

/// A step as it happens.
fn show(drill: &Drill, step: &Step<'_>, look: &Look) -> String {
    match step {
        Step::Healthy(report, there) => {
            let said = format!("every room that can be seen is well; checked in {}", report.elapsed_ms);
            let api = there.map_or(String::new(), |api| margin(look, Paint::Dim, "api", &named(api)));
            format!("{api}{}", margin(look, Paint::Good, "healthy", &said))
        }
        Step::Broken => margin(look, Paint::Bad, "broken", drill.does),
        Step::Found(report) => format!("\n{}\n", render::report(report, ReportFormat::Human, look)),
        // The same walk as that of the report on screen, a moment later.
        Step::Fix(News::Found(_)) => String::new(),
        Step::Fix(news) => render::fix::news(news, look),
        Step::Fixed(fix) => fixed(fix, look),
        Step::Restored => margin(
            look,
            Paint::Good,
            "restored",
            "what was left of the fault is taken away, and every room is well again",
        ),
        Step::Mended => {
            margin(look, Paint::Good, "mended", "the fault is gone, and every room is well again")
        }
    }
}

/// What the fix came to, and what the record has of it.
fn fixed(fix: &mending::Record, look: &Look) -> String {
    let paint = match (fix.right, fix.expected) {
        (false, _) => Paint::Bad,
        (true, Expected::Recovers) => Paint::Good,
        (true, Expected::Advice) => Paint::Warning,
    };
    let mut out = format!("\n{}", margin(look, paint, "fix", &came_of(fix)));
    let untouched = match fix.expected {
        Expected::Recovers => "",
        Expected::Advice => "nothing was touched; ",
    };
    if let Some(ready) = fix.ready {
        let (paint, said) = if ready { (Paint::Good, "200") } else { (Paint::Bad, "not 200") };
        out.push_str(&margin(look, paint, "ready", &format!("the API's readiness answers {said}")));
    }
    let harm = format!("{untouched}{} of {} bystanders harmed", fix.harm, fix.bystanders);
    out.push_str(&margin(look, if fix.harm == 0 { Paint::Good } else { Paint::Bad }, "harm", &harm));
    for incident in incidents(&read_all(&fix.state).unwrap_or_default()) {
        for line in render::incidents::screen(&incident, look).lines().filter(|line| !line.is_empty()) {
            out.push_str(&margin(look, Paint::Dim, "record", line));
        }
    }
    out.push('\n');
    out
}

/// The last word on a drill.
fn verdict(record: &Record, look: &Look) -> String {
    let found = record.check_ms.unwrap_or_default();
    match record.status {
        Outcome::Passed => {
            let what = if record.drill == record.expected {
                format!("found {} and no other root, in {found}", record.drill)
            } else {
                let as_what = if record.role == Role::Symptom { "a symptom of" } else { "contributing to" };
                format!("found {} as {as_what} {}, in {found}", record.drill, record.expected)
            };
            margin(look, Paint::Good, "passed", &what)
        }
        Outcome::Failed => {
            margin(look, Paint::Bad, "FAILED", &text::visible(record.detail.as_deref().unwrap_or_default()))
        }
        Outcome::NeedsRoot | Outcome::MissingProgram | Outcome::Apart => {
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
        records.push(one(drill, true, look));
    }
    stdout("\n");
    for (record, (title, _)) in records.iter().zip(table::runbook()) {
        let root = record.roots.join(", ");
        let (paint, said) = match (record.status, record.check_ms) {
            (Outcome::Passed, Some(check)) => {
                let fix = record.fix.as_ref().map_or(String::new(), |fix| format!("; {}", came_of(fix)));
                (Paint::Good, format!("{root} in {check}{fix}"))
            }
            (_, _) => (Paint::Warning, text::visible(record.detail.as_deref().unwrap_or_default())),
        };
        stdout(&format!("{title:<28}  {}\n", look.paint(paint, &said)));
    }
    stdout(&format!("{}\n", look.paint(Paint::Strong, &of_the_runbook(&records))));
    records
}

/// How many of the runbook's faults were found, and what became of them.
fn of_the_runbook(records: &[Record]) -> String {
    let found = records.iter().filter(|record| record.status == Outcome::Passed).count();
    let right = |expected: Expected| {
        let fixes = records.iter().filter_map(|record| record.fix.as_ref());
        fixes.filter(|fix| fix.right && fix.expected == expected).count()
    };
    format!(
        "{found} of {} faults of the runbook found; {} mended, {} left to a person with the command",
        records.len(),
        right(Expected::Recovers),
        right(Expected::Advice)
    )
}
