//! `audit --sql`: one script for psql, safest first, each statement with its undo. What servers said stands in comments of
//! one line, so that it can begin no statement.

use super::change_line;
use crate::render::text::visible;
use pgmedic_model::{AuditFinding, AuditReport, By, Change};

/// A statement, and the finding that it mends.
pub(super) type Entry<'r> = (&'r AuditFinding, &'r Change);

/// The statements, each once, safest first.
pub(super) fn statements(report: &AuditReport) -> Vec<Entry<'_>> {
    let mut all: Vec<Entry<'_>> = Vec::new();
    for finding in &report.findings {
        for change in finding.changes.iter().filter(|change| change.by == By::Sql) {
            if !all.iter().any(|(_, known)| known.statement == change.statement) {
                all.push((finding, change));
            }
        }
    }
    all.sort_by_key(|(_, change)| (change.risk, is_alone(change), change.needs));
    all
}

/// True for what runs in no transaction block (manual, "ALTER SYSTEM").
fn is_alone(change: &Change) -> bool {
    change.statement.starts_with("alter system")
}

/// The script, with its final newline.
pub(crate) fn script(report: &AuditReport) -> String {
    let all = statements(report);
    let mut out = head(report, all.len());
    let mut within = false;
    for (number, (finding, change)) in all.iter().enumerate() {
        if within && is_alone(change) {
            out.push_str("commit;\n\n");
        }
        if !within && !is_alone(change) {
            out.push_str("begin;\n\n");
        }
        within = !is_alone(change);
        let said = number > 0 && all[number - 1].0.weakness == finding.weakness;
        let why = if said { String::new() } else { format!(": {}", comment(&finding.summary)) };
        out.push_str(&format!("-- {}. {}{why}\n", number + 1, finding.weakness));
        out.push_str(&format!("--    {}\n", comment(&change_line(change))));
        if !change.note.is_empty() {
            out.push_str(&format!("--    {}\n", comment(&change.note)));
        }
        out.push_str(&format!("{};\n", change.statement));
        out.push_str(&format!("-- undo: {};\n\n", comment(&change.undo)));
    }
    if within {
        out.push_str("commit;\n\n");
    }
    if all.iter().any(|(_, change)| is_alone(change)) {
        out.push_str(
            "-- Has the server read its settings again: nothing above that it calls for holds before this.\n",
        );
        out.push_str("select pg_reload_conf();\n");
    }
    rest(&mut out, report);
    out
}

fn head(report: &AuditReport, count: usize) -> String {
    format!(
        "-- pgmedic audit of {} ({}), {}.\n\
         -- {count} statement(s), safest first, each with its undo beneath it. Read it; then run it as a superuser:\n\
         --   psql -X -f audit.sql \"$RESCUE_DATABASE_URL\"\n\
         -- A failure stops it; what stands in the same transaction is then rolled back.\n\
         \\set ON_ERROR_STOP on\n\n",
        comment(&report.service),
        comment(&report.target),
        report.started_at
    )
}

/// What no statement mends.
fn rest(out: &mut String, report: &AuditReport) {
    let by_hand = report.findings.iter().flat_map(|f| f.changes.iter().map(move |change| (f, change)));
    let by_hand: Vec<Entry<'_>> = by_hand.filter(|(_, change)| change.by != By::Sql).collect();
    if by_hand.is_empty() {
        return;
    }
    out.push_str("\n-- What no statement mends:\n");
    for (finding, change) in by_hand {
        out.push_str(&format!("-- {}: {}\n", finding.weakness, comment(&change_line(change))));
        if !change.statement.is_empty() {
            out.push_str(&format!("--    {}\n", comment(&change.statement)));
        }
    }
}

/// A text that stays within its line.
fn comment(text: &str) -> String {
    visible(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_model::{Fact, Needs, Object, ObjectKind, Risk, Room, Source, Status, Timestamp};

    fn change(statement: &str, risk: Risk) -> Change {
        Change {
            object: Object { kind: ObjectKind::Role, name: "a\ndrop table jobs; --".to_owned() },
            setting: "x".to_owned(),
            current: "0".to_owned(),
            advised: "1\nselect 1;".to_owned(),
            by: By::Sql,
            statement: statement.to_owned(),
            undo: "alter role a reset x".to_owned(),
            needs: Needs::NewSessions,
            risk,
            note: "a note\nwith a line".to_owned(),
        }
    }

    fn report(changes: Vec<Change>) -> AuditReport {
        let fact = Fact::new(Source::Sql, Timestamp(0), "here", "it");
        let summary = "said by a server:\ndrop table jobs;";
        let finding = AuditFinding::new("x", Room::Sessions, summary, fact).mended_by(changes);
        AuditReport {
            schema: AuditReport::SCHEMA.to_owned(),
            service: "shop\n\\! reboot".to_owned(),
            target: "postgres://h/d".to_owned(),
            started_at: Timestamp(0),
            elapsed_ms: pgmedic_model::Ms(1.0),
            status: Status::Warning,
            findings: vec![finding],
            budget: None,
            forecast: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// What psql would run: every line that is no comment.
    fn run(script: &str) -> Vec<&str> {
        script.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).collect()
    }

    #[test]
    fn nothing_that_a_server_said_begins_a_statement() {
        let person = Change { by: By::Person, ..change("restart\nrm -rf /", Risk::Adds) };
        let script = script(&report(vec![change("alter role a set x = '1'", Risk::Bounds), person]));
        assert_eq!(
            run(&script),
            ["\\set ON_ERROR_STOP on", "begin;", "alter role a set x = '1';", "commit;"],
            "{script}"
        );
    }

    #[test]
    fn the_safest_comes_first_once_and_what_runs_in_no_transaction_stands_outside() {
        let script = script(&report(vec![
            change("alter role a nosuperuser", Risk::Privilege),
            change("alter system set b = '1'", Risk::Bounds),
            change("alter role a set c = '1'", Risk::Bounds),
            change("create role d", Risk::Adds),
            change("alter system set b = '1'", Risk::Bounds),
        ]));
        assert_eq!(
            run(&script),
            [
                "\\set ON_ERROR_STOP on",
                "begin;",
                "create role d;",
                "alter role a set c = '1';",
                "commit;",
                "alter system set b = '1';",
                "begin;",
                "alter role a nosuperuser;",
                "commit;",
                "select pg_reload_conf();"
            ],
            "{script}"
        );
        assert_eq!(script.matches("-- undo: ").count(), 4);
    }
}
