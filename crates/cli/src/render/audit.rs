//! An audit's report: a screen, a document, a line, a page. The script and the diff are beside.

pub(crate) mod diff;
mod markdown;
pub(crate) mod script;

use super::human::{Page, confidence, in_order};
use super::json;
use super::nagios::line_of;
use super::style::{Look, Paint};
use crate::args::AuditFormat;
use pgmedic_model::{AuditFinding, AuditReport, Budget, By, Change, Forecast, ObjectKind, Severity, Status};

/// Facts shown of a finding; the rest are in the JSON.
const FACTS: usize = 3;
/// Changes shown of a finding.
const CHANGES: usize = 6;

/// A report in the format that is asked for, with its final newline.
pub(crate) fn report(report: &AuditReport, format: AuditFormat, look: &Look) -> String {
    match format {
        AuditFormat::Human => screen(report, look),
        AuditFormat::Json => json::document(report).unwrap_or_default(),
        AuditFormat::Nagios => line(report),
        AuditFormat::Markdown => markdown::page(report),
    }
}

/// `role renderflow`, `server`, `the API's pool`.
pub(crate) fn object(change: &Change) -> String {
    match (change.object.kind, change.object.name.as_str()) {
        (ObjectKind::Service | ObjectKind::File, name) if !name.is_empty() => name.to_owned(),
        (kind, "") => kind.as_str().to_owned(),
        (kind, name) => format!("{} {name}", kind.as_str()),
    }
}

/// `lock_timeout: 0 → 10s (holds for new sessions)`.
pub(crate) fn change_line(change: &Change) -> String {
    if change.current.is_empty() {
        return format!("{}: {}", change.setting, change.advised);
    }
    format!(
        "{}, {}: {} → {} ({})",
        object(change),
        change.setting,
        change.current,
        change.advised,
        change.needs.words()
    )
}

/// Statements of the script that this report gives.
pub(crate) fn statements(report: &AuditReport) -> usize {
    script::statements(report).len()
}

fn screen(report: &AuditReport, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    page.heading(&report.service, &report.target, report.status, report.elapsed_ms);
    if report.findings.is_empty() {
        page.paragraph("", "", verdict_without(report), 2);
    }
    for (number, finding) in report.findings.iter().enumerate() {
        if number > 0 {
            page.line("");
        }
        one(&mut page, number + 1, finding);
    }
    if let Some(budget) = &report.budget {
        sum(&mut page, budget);
    }
    forecasts(&mut page, &report.forecast);
    page.unseen(&report.unseen);
    next(&mut page, report);
    page.out
}

fn verdict_without(report: &AuditReport) -> &'static str {
    match report.status {
        Status::Ok => "Nothing is weak in what could be seen.",
        _ => "Too little could be seen to say what will break.",
    }
}

fn one(page: &mut Page, number: usize, finding: &AuditFinding) {
    let paint = if finding.severity == Severity::Critical { Paint::Bad } else { Paint::Warning };
    let title = page.paint(paint, &format!("{number}. {}", finding.weakness));
    page.line(&format!("{title}, {} ({})", finding.nearness.words(), confidence(finding.confidence)));
    page.paragraph("   ", "   ", &finding.summary, 3);
    if !finding.breaks.is_empty() {
        page.paragraph("   breaks    ", "             ", &finding.breaks, 2);
    }
    for fact in in_order(&finding.evidence).into_iter().take(FACTS) {
        let lead = format!("   {:<9} ", fact.way);
        page.paragraph(&lead, "             ", &format!("{}: {}", fact.place, fact.fact), 2);
    }
    for change in finding.changes.iter().take(CHANGES) {
        page.paragraph("   change    ", "             ", &change_line(change), 3);
        match change.by {
            By::Sql => {
                let command = page.paint(Paint::Command, &format!("{};", change.statement));
                page.line(&format!("             {command}"));
            }
            By::Line => {
                let command = page.paint(Paint::Command, &change.statement);
                page.line(&format!("             {command}"));
            }
            By::Person => page.paragraph("             ", "             ", &change.statement, 4),
        }
        if !change.note.is_empty() {
            page.paragraph("             ", "             ", &change.note, 3);
        }
    }
    if finding.changes.len() > CHANGES {
        let more = page
            .paint(Paint::Dim, &format!("             {} more with --diff", finding.changes.len() - CHANGES));
        page.line(&more);
    }
}

fn sum(page: &mut Page, budget: &Budget) {
    page.line("");
    let heading = page.paint(Paint::Strong, "Connection budget");
    page.line(&heading);
    for term in &budget.terms {
        page.paragraph(
            &format!("  {:>6}  ", term.connections),
            "          ",
            &format!("{} ({})", term.what, term.from),
            2,
        );
    }
    let wanted = budget.wanted.map_or_else(|| "?".to_owned(), |n| n.to_string());
    page.paragraph(
        &format!("  {wanted:>6}  "),
        "          ",
        &format!("wanted at most; {} let in: {}", budget.allowed, budget.allowed_by),
        2,
    );
    if let Some(largest) = budget.largest_pool {
        let text = format!("the largest safe pool of each: {}", budget.largest_pool_by);
        page.paragraph(&format!("  {largest:>6}  "), "          ", &text, 2);
    }
}

/// `62 % of 20 GB`, `1.2 million of 200 million transactions`.
pub(super) fn amount(f: &Forecast) -> String {
    let number = |value: f64| match f.unit.as_str() {
        "bytes" => ["bytes", "kB", "MB", "GB", "TB"]
            .iter()
            .enumerate()
            .map(|(power, unit)| (value / 1000_f64.powi(i32::try_from(power).unwrap_or(0)), unit))
            .find(|(shown, unit)| *shown < 1000.0 || **unit == "TB")
            .map(
                |(shown, unit)| {
                    if shown < 10.0 { format!("{shown:.1} {unit}") } else { format!("{shown:.0} {unit}") }
                },
            )
            .unwrap_or_default(),
        unit => format!("{value:.0} {unit}"),
    };
    match f.limit.filter(|limit| *limit > 0.0) {
        Some(limit) => format!("{:.0} % of {}", f.value / limit * 100.0, number(limit)),
        None => number(f.value),
    }
}

/// What a forecast rests on. Of one look it says so itself.
fn rested(f: &Forecast) -> String {
    if f.rests_on.is_empty() || f.per_second.is_none() {
        String::new()
    } else {
        format!("; from {}", f.rests_on)
    }
}

fn forecasts(page: &mut Page, all: &[Forecast]) {
    if all.is_empty() {
        return;
    }
    page.line("");
    let heading = page.paint(Paint::Strong, "Forecast");
    page.line(&heading);
    for f in all {
        let sure = f.confidence.map(|c| format!(" ({})", confidence(c))).unwrap_or_default();
        let text = format!("{}: {}; {}{sure}{}", f.subject, amount(f), f.says, rested(f));
        page.paragraph("  ", "    ", &text, 4);
    }
}

fn next(page: &mut Page, report: &AuditReport) {
    let statements = statements(report);
    let Some(first) = report.findings.first() else { return };
    page.line("");
    if statements > 0 {
        let text = format!(
            "pgmedic audit --sql has {statements} statement(s), safest first, each with its undo; --diff shows them side by side"
        );
        page.paragraph("", "", &text, 2);
    }
    let more = page.paint(Paint::Dim, &format!("more: pgmedic explain {}", first.weakness));
    page.line(&more);
}

/// One line as monitoring plugins write it.
fn line(report: &AuditReport) -> String {
    let mut told: Vec<String> =
        report.findings.iter().map(|f| format!("{}: {}", f.weakness, f.summary)).collect();
    if told.is_empty() {
        told.push(format!("{}: {}", report.service, verdict_without(report)));
    }
    let mut perfdata =
        format!("time={:.3}s;;;0 findings={};;;0", report.elapsed_ms.0 / 1000.0, report.findings.len());
    if let Some(budget) = &report.budget {
        let wanted = budget.wanted.map_or_else(|| "U".to_owned(), |n| n.to_string());
        perfdata.push_str(&format!(" wanted={wanted};;{};0", budget.allowed));
    }
    let status = report.status.as_str().to_uppercase();
    format!("PGMEDIC {status} - {} | {perfdata}\n", line_of(&told.join("; ")))
}
