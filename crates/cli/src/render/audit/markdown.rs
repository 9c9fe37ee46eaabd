//! An audit for a chat or an issue. What servers said stands in code spans or escaped.

use super::{amount, change_line, rested};
use crate::render::markdown::{code, escaped};
use crate::render::text::visible;
use pgmedic_model::{AuditReport, By};

/// The page.
pub(super) fn page(report: &AuditReport) -> String {
    let mut out = format!(
        "## pgmedic audit: {} is {}\n\n`{}`, {}, {}\n\n",
        escaped(&report.service),
        report.status.as_str(),
        code(&report.target),
        report.started_at,
        report.elapsed_ms,
    );
    for (number, f) in report.findings.iter().enumerate() {
        out.push_str(&format!(
            "### {}. {}, {}\n\n{}\n\n",
            number + 1,
            f.weakness,
            f.nearness.words(),
            escaped(&f.summary)
        ));
        if !f.breaks.is_empty() {
            out.push_str(&format!("What breaks first: {}\n\n", escaped(&f.breaks)));
        }
        for fact in &f.evidence {
            out.push_str(&format!("- {}, `{}`: `{}`\n", fact.way, code(&fact.place), code(&fact.fact)));
        }
        out.push('\n');
        for change in &f.changes {
            out.push_str(&format!("{}\n\n", escaped(&change_line(change))));
            let (language, end) = if change.by == By::Sql { ("sql", ";") } else { ("text", "") };
            if !change.statement.is_empty() {
                let statement = visible(&change.statement).replace("```", "'''");
                out.push_str(&format!("```{language}\n{statement}{end}\n```\n\n"));
            }
        }
    }
    if let Some(budget) = &report.budget {
        out.push_str("### Connection budget\n\n| connections | of | from |\n|---:|---|---|\n");
        for term in &budget.terms {
            out.push_str(&format!(
                "| {} | {} | {} |\n",
                term.connections,
                escaped(&term.what),
                escaped(&term.from)
            ));
        }
        let wanted = budget.wanted.map_or_else(|| "?".to_owned(), |n| n.to_string());
        out.push_str(&format!(
            "| **{wanted}** | wanted; {} let in | {} |\n\n",
            budget.allowed,
            escaped(&budget.allowed_by)
        ));
    }
    if !report.forecast.is_empty() {
        out.push_str("### Forecast\n\n");
        for f in &report.forecast {
            let says = escaped(&format!("{}{}", f.says, rested(f)));
            out.push_str(&format!("- {}: {}; {says}\n", escaped(&f.subject), amount(f)));
        }
        out.push('\n');
    }
    if !report.unseen.is_empty() {
        out.push_str("### Not seen\n\n");
        out.extend(report.unseen.iter().map(|text| format!("- {}\n", escaped(text))));
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}
