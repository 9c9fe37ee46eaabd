//! The team's own runbook, demand by demand: each fact of it stands in ours, in the chapter where it is looked for, and what
//! the fault matrix shows to be dangerous stands there only beside its correction.

use crate::{blocks, example, written};

/// What the old runbook says, in its order: the words by which ours says it, and the heading under which.
const FACTS: &[(&str, &str, &str)] = &[
    ("the alert", "Alert `DatabaseConnectionFailure`", "Symptoms"),
    ("readiness: the probe", "readiness probe (`/api/v1/ready`)", "Symptoms"),
    ("readiness: status and body", "503 with `db: \"disconnected\"`", "Symptoms"),
    ("the log line", "`Database not initialised`", "Symptoms"),
    ("or time-outs", "connection timeout errors", "Symptoms"),
    (
        "the API's log",
        "fly logs --app renderflow-api --no-tail | grep -iE \"database|pg|postgres|",
        "What the API says",
    ),
    ("Fly Postgres: its state", "fly status --app renderflow-db", "What runs, and what the server says"),
    ("Fly Postgres: connect", "fly postgres connect --app renderflow-db", "Into the database"),
    (
        "connection count",
        "count(*) filter (where backend_type = 'client backend')",
        "Connection count, max connections, and who has them",
    ),
    ("max connections", "show max_connections;", "Connection count, max connections, and who has them"),
    (
        "by application and state",
        "select application_name, usename, datname, state, count(*)",
        "Connection count, max connections, and who has them",
    ),
    ("1. the heading", "One class", "1. Connection pool exhaustion"),
    ("1. kill idle connections", "Kill idle connections", "1. Connection pool exhaustion"),
    ("1. over ten minutes", "interval '600 seconds'", "1. Connection pool exhaustion"),
    ("2. the proxy", "Fly Postgres uses an internal proxy", "2. Fly.io proxy timeout"),
    ("2. connections hang", "If connections hang", "2. Fly.io proxy timeout"),
    ("2. restart the API", "fly machine restart MACHINE_ID --app renderflow-api", "2. Fly.io proxy timeout"),
    (
        "2. restart the database",
        "fly machine restart MACHINE_ID --app renderflow-db",
        "Before any restart of the database",
    ),
    ("3. the database's size", "pg_size_pretty(pg_database_size(datname))", "3. Storage full"),
    (
        "3. extend the volume",
        "fly volumes extend VOLUME_ID -s SIZE_GB --app renderflow-db",
        "3. Storage full",
    ),
    ("3. to twenty", "at most 20 GB", "3. Storage full"),
    (
        "4. the name resolves",
        "fly ssh console --app renderflow-api -C \"getent hosts renderflow-db.internal\"",
        "4. DNS resolution (Fly internal)",
    ),
    ("prevention: pool", "`max: 10`", "Prevention"),
    ("prevention: idle", "`idle_timeout: 20`", "Prevention"),
    ("prevention: connect", "`connect_timeout: 10`", "Prevention"),
    ("prevention: metrics", "`pg_pool_*` in Grafana", "Prevention"),
    ("prevention: disk alerts", "Alerts for disk usage", "Prevention"),
];

/// What is dangerous in it: the words in which the correction quotes it, and why not.
const CORRECTED: &[(&str, &str, &[&str])] = &[
    (
        "Into the database",
        "fly postgres connect --app renderflow-db -c \"",
        &["`--config`", "superuser", "hangs where the proxy hangs", "no active leader found"],
    ),
    (
        "Connection count, max connections, and who has them",
        "SELECT count(*) FROM pg_stat_activity;",
        &["background processes", "kept back"],
    ),
    (
        "1. Connection pool exhaustion",
        "AND query_start < now() - interval '10 minutes'",
        &[
            "`state_change`",
            "every database",
            "superusers",
            "advisory locks",
            "walsenders",
            "no limit",
            "`backend_start`",
        ],
    ),
    (
        "2. Fly.io proxy timeout",
        "fly machines restart --app renderflow-api",
        &["log in at one moment", "vanished machine"],
    ),
    (
        "2. Fly.io proxy timeout",
        "fly machines restart --app renderflow-db",
        &["full disk", "crash loop", "hung proxy looks just like a hung server", "pg_hba.conf"],
    ),
    ("3. Storage full", "pg_size_pretty(pg_database_size('renderflow'))", &["nothing of the disk", "WAL"]),
    (
        "3. Storage full",
        "fly volumes extend <vol-id> -s 20 --app renderflow-db",
        &["size in all", "never shrinks", "stopped and started"],
    ),
    (
        "4. DNS resolution (Fly internal)",
        "getent hosts renderflow-db.internal",
        &["libc", "NXDOMAIN", "wrong server"],
    ),
];

/// What stands under a heading, of whatever level, up to the next.
fn under<'t>(text: &'t str, heading: &str) -> &'t str {
    let found = [format!("\n## {heading}\n"), format!("\n### {heading}\n")];
    let (_, rest) = found
        .iter()
        .find_map(|heading| text.split_once(heading.as_str()))
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    let end = rest.match_indices("\n#").find(|(at, _)| {
        let line = rest[at + 1..].lines().next().unwrap_or_default();
        line.starts_with("## ") || line.starts_with("### ")
    });
    end.map_or(rest, |(at, _)| &rest[..at])
}

#[test]
fn everything_in_the_old_runbook_is_there() {
    let text = written(&example());
    for (fact, words, heading) in FACTS {
        let chapter = under(&text, heading).to_lowercase().replace('*', "");
        let words = words.to_lowercase().replace('*', "");
        assert!(chapter.contains(&words), "{fact}: {words:?} is not under {heading:?}");
    }
}

#[test]
fn what_is_dangerous_in_it_stands_there_only_with_why_not_and_what_instead() {
    let text = written(&example());
    for (heading, quoted, reasons) in CORRECTED {
        let chapter = under(&text, heading);
        let quotes: Vec<&str> = chapter.split("> **The old runbook says**").skip(1).collect();
        let quote = quotes.into_iter().find(|quote| quote.contains(quoted));
        let quote = quote.unwrap_or_else(|| panic!("{quoted:?} is not quoted under {heading:?}"));
        let (_, why) = quote.split_once("> **Why not.**").unwrap();
        let (why, instead) = why.split_once("> **Instead.**").unwrap();
        for reason in *reasons {
            assert!(why.contains(reason), "{quoted:?}: {reason:?} is no reason in {why:?}");
        }
        assert!(instead.split("\n\n").next().unwrap().len() > 10, "{quoted:?}: {instead:?}");
    }
    for danger in [
        "query_start < now()",
        "connect --app renderflow-db -c ",
        "machines restart --app",
        "extend <vol-id>",
    ] {
        for line in text.lines().filter(|line| line.contains(danger)) {
            assert!(line.starts_with('>'), "{line:?} stands outside of a quotation");
        }
    }
    for block in blocks(&text, "sh").chain(blocks(&text, "sql")) {
        assert!(!block.contains("kill -9") && !block.contains("rm "), "{block}");
    }
}

#[test]
fn the_one_screen_of_triage_comes_before_anything_else_and_fits() {
    let text = written(&example());
    let (before, screen) = text.split_once("\n## In one screen\n").unwrap();
    assert!(before.lines().count() < 20, "{before}");
    let screen = screen.split("\n## ").next().unwrap();
    assert!(screen.lines().count() < 40, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() < 220), "{screen}");
    assert!(screen.contains("pgmedic check renderflow ") && screen.contains("Never tonight"), "{screen}");
}
