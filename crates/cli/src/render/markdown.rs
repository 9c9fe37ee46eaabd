//! The report for a chat or an issue. What servers said stands in code spans or escaped: it can format nothing.

use super::text::visible;
use pgmedic_model::{Finding, Report, Role, RoomReport, RoomStatus};

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = format!(
        "## pgmedic: {} is {}\n\n`{}`, {}, {}\n\n",
        escaped(&report.service),
        report.status.as_str(),
        code(&report.target),
        report.started_at,
        report.elapsed_ms,
    );
    table(&mut out, "Path", &report.path);
    if !report.direct.is_empty() {
        table(&mut out, "Around the proxy", &report.direct);
    }
    for finding in report.roots() {
        root(&mut out, finding);
    }
    let others: Vec<_> = report.findings.iter().filter(|finding| finding.role != Role::Root).collect();
    if !others.is_empty() {
        out.push_str("### Also seen\n\n");
        for finding in others {
            let role = if finding.role == Role::Symptom { "symptom" } else { "contributing" };
            out.push_str(&format!("- **{}** ({role}): {}\n", finding.cause, escaped(&finding.summary)));
        }
        out.push('\n');
    }
    if !report.unseen.is_empty() {
        out.push_str("### Not seen\n\n");
        out.extend(report.unseen.iter().map(|text| format!("- {}\n", escaped(text))));
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

fn table(out: &mut String, title: &str, rooms: &[RoomReport]) {
    out.push_str(&format!("| {title} | | Time | |\n|---|---|---:|---|\n"));
    for room in rooms {
        let entered = !matches!(room.status, RoomStatus::NotReached | RoomStatus::NotSeen);
        let time = if entered { room.elapsed_ms.to_string() } else { String::new() };
        let status = if room.status == RoomStatus::Failed { "**failed**" } else { room.status.as_str() };
        out.push_str(&format!("| {} | {status} | {time} | {} |\n", room.room, escaped(&room.summary)));
    }
    out.push('\n');
}

fn root(out: &mut String, finding: &Finding) {
    let confidence = super::human::confidence(finding.confidence);
    out.push_str(&format!(
        "### Root cause: {} ({confidence})\n\n{}\n\n",
        finding.cause,
        escaped(&finding.summary)
    ));
    for fact in super::human::in_order(&finding.evidence) {
        out.push_str(&format!("- {}, `{}`: `{}`\n", fact.way, code(&fact.place), code(&fact.fact)));
    }
    for other in &finding.alternatives {
        out.push_str(&format!("- or **{}**, decided by: {}\n", other.cause, escaped(&other.decided_by)));
    }
    out.push('\n');
    for remedy in &finding.remedies {
        out.push_str(&format!("{}\n\n", escaped(&remedy.plan)));
        if !remedy.command.is_empty() {
            out.push_str(&format!("```sh\n{}\n```\n\n", visible(&remedy.command).replace("```", "'''")));
        }
    }
}

/// A text inside a code span.
pub(super) fn code(text: &str) -> String {
    visible(text).replace('`', "'")
}

/// A text that formats nothing.
pub(super) fn escaped(text: &str) -> String {
    visible(text).chars().fold(String::new(), |mut out, c| {
        if "\\`*_[]<>#|~!".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn the_page_holds_everything_and_obeys_nothing_in_it() {
        let text = page(&samples::slots_exhausted());
        assert!(text.starts_with("## pgmedic: shop is critical\n"), "{text}");
        for part in [
            "### Root cause: slots-exhausted (certain)",
            "| admission | **failed** |",
            "```sh\npsql -c",
            "### Not seen",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = page(&samples::hostile());
        assert!(!text.contains("\n# pwned") && !text.contains('\u{1b}'), "{text}");
        let fenced =
            |part: &str| part.split_once("\n```\n").map_or(part.to_owned(), |(_, rest)| rest.to_owned());
        let prose: String = text.split("```sh").map(fenced).collect();
        let outside: String = prose.replace("\\`", "").split('`').step_by(2).collect();
        assert!(!outside.replace("\\<", "").contains('<'), "{outside}");
    }
}
