//! The text of a first `pgmedic.toml`: what is known as lines, what is not as comments to be filled in.

use super::draft::{Draft, Line};
use crate::render::text::{visible, width};
use std::fmt::Write;

const HEAD: &str = "\
# Written by pgmedic init. No secret stands here: env:NAME is fetched from the environment, file:PATH from a file.
# A line that begins with # could not be known, or has its default: fill it in, or leave it.
# Every key: https://github.com/pgmedic/pgmedic/blob/main/docs/configuration.md
";

/// What a service is called of which nothing is known.
const UNKNOWN: &str = "\
[[service]]
name = \"app\"
database = \"env:DATABASE_URL\"  # a libpq connection string; env:NAME or file:PATH says where it is
";

const SIDES: [(&str, &str, &str); 5] = [
    (
        "rescue",
        "env:RESCUE_DATABASE_URL",
        "a role that may use reserved slots, for when the other is refused",
    ),
    ("direct", "127.0.0.1:5433", "the way around a proxy or pooler"),
    ("pooler", "postgres://stats@127.0.0.1:6432/pgbouncer", "PgBouncer's admin console"),
    ("ready", "http://127.0.0.1:3000/api/v1/ready", "the endpoint that answers 503 without the database"),
    ("metrics", "http://127.0.0.1:3000/metrics", "pg_pool_* metrics"),
];

const TAIL: &str = "
# [watch]                        # for pgmedic watch
# listen = \"127.0.0.1:9187\"      # metrics and API
# alerts = [{ kind = \"slack\", url = \"env:SLACK_WEBHOOK\" }]
";

/// The whole text.
pub(super) fn written(drafts: &[Draft]) -> String {
    let mut out = HEAD.to_owned();
    if drafts.is_empty() {
        out.push('\n');
        out.push_str(UNKNOWN);
        lines(&mut out, &sides(&[]));
        out.push_str("\n# [service.platform]\n");
        let kind =
            ("kind", "host", "fly, docker, kubernetes, systemd, host: what runs the API and the database");
        lines(&mut out, &[comment(kind)]);
        rest(&mut out, &[]);
    }
    for draft in drafts {
        let _in_memory = writeln!(out, "\n# {}\n[[service]]", visible(&draft.about));
        let name =
            Line { key: "name", value: super::draft::quoted(&draft.name), why: String::new(), sure: true };
        let mut all = vec![name];
        all.extend(draft.lines.iter().cloned());
        all.extend(sides(&draft.lines));
        lines(&mut out, &all);
        let known = draft.platform.iter().any(|line| line.sure);
        out.push_str(if known { "\n[service.platform]\n" } else { "\n# [service.platform]\n" });
        lines(&mut out, &draft.platform);
        rest(&mut out, &draft.budget);
    }
    out.push_str(TAIL);
    out
}

/// The side doors that are not there yet, as comments.
fn sides(known: &[Line]) -> Vec<Line> {
    let missing = SIDES.into_iter().filter(|(key, ..)| !known.iter().any(|line| line.key == *key));
    missing.map(comment).collect()
}

fn comment((key, value, why): (&'static str, &str, &str)) -> Line {
    Line { key, value: super::draft::quoted(value), why: why.to_owned(), sure: false }
}

fn rest(out: &mut String, budget: &[Line]) {
    let policy = Line {
        key: "auto",
        value: "[\"sessions\"]".to_owned(),
        why: "what pgmedic watch may do without asking; by default nothing".to_owned(),
        sure: false,
    };
    out.push_str("\n# [service.policy]\n");
    lines(out, &[policy]);
    out.push_str("\n# [service.budget]\n");
    let mut all = budget.to_vec();
    if all.is_empty() {
        let why = "instances of the API, at most".to_owned();
        all.push(Line { key: "machines", value: "2".to_owned(), why, sure: false });
    }
    let why = "connections of one instance's pool".to_owned();
    all.push(Line { key: "pool_max", value: "10".to_owned(), why, sure: false });
    lines(out, &all);
}

fn lines(out: &mut String, lines: &[Line]) {
    let pair = |line: &Line| {
        let mark = if line.sure { "" } else { "# " };
        format!("{mark}{} = {}", line.key, line.value)
    };
    let column = lines.iter().map(|line| width(&pair(line))).filter(|w| *w <= 64).max().unwrap_or(0);
    for line in lines {
        let pair = pair(line);
        let gap = " ".repeat(column.saturating_sub(width(&pair)) + 2);
        let why = if line.why.is_empty() { String::new() } else { format!("{gap}# {}", visible(&line.why)) };
        let _in_memory = writeln!(out, "{pair}{why}");
    }
}
