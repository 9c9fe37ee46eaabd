//! The one statement in which the server tells of itself, and the reading of its answer.
//!
//! One statement, one row, one column. It runs for every role that may connect, on a standby, in a read-only
//! transaction and under any search_path: every name and operator in it is qualified, and it calls no function that is
//! not granted to PUBLIC (the executor checks that before it runs anything, so that no CASE protects from it). It asks
//! functions instead of the views over them and leaves joining, naming and judging to [`read`]: a server that has just
//! forked a backend spends its time on planning, which costs by the clause.
//!
//! Not in here: sending it, and its deadline.

mod answer;
mod assemble;
pub mod facts;
mod locks;
mod version;

pub use answer::{ReadError, read};
pub use version::version_num;

use pgmedic_model::Policy;

const STATEMENT: &str = include_str!("statement.sql");

/// Settings that the statement asks for, as `SHOW` writes them; one that this version lacks is NULL.
const SETTINGS: [&str; 11] = [
    "archive_mode",
    "autovacuum_freeze_max_age",
    "default_transaction_read_only",
    "is_superuser",
    "max_connections",
    "max_slot_wal_keep_size",
    "max_wal_size",
    "reserved_connections",
    "server_version_num",
    "superuser_reserved_connections",
    "transaction_read_only",
];

/// The statement for a server of this `server_version_num`, 120000 or later. Its only column is text, to be given to
/// [`read`].
#[must_use]
pub fn statement(version_num: u32, policy: &Policy) -> String {
    let major = version_num / 10_000;
    let sql: String = STATEMENT
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("--"))
        .flat_map(|line| [line, "\n"])
        .collect();
    pieces(major, policy).iter().fold(sql, |sql, (mark, piece)| sql.replace(mark, piece))
}

/// What stands in the statement's marked places. The marks of times come last, for pieces contain them.
fn pieces(major: u32, policy: &Policy) -> [(&'static str, String); 7] {
    let settings = SETTINGS.map(|name| format!("'{name}', pg_catalog.current_setting('{name}', true),\n"));
    // Until Postgres 14 membership alone opened pg_stat_activity, also without INHERIT (`HAS_PGSTAT_PERMISSIONS`).
    let stats = if major < 15 { "MEMBER" } else { "USAGE" };
    let wal_status = if major < 13 {
        "NULL AS wal_status, NULL AS safe_wal_bytes"
    } else {
        "wal_status, safe_wal_size AS safe_wal_bytes"
    };
    let inactive = if major < 17 { "NULL" } else { "{US}inactive_since{/US}" };
    // Until Postgres 14 these were read from a file of the statistics collector, after a wait for a new one: 10 ms as
    // a rule, 10 s where it cannot be written because the disk is full (`backend_read_statsfile`).
    let statistics = if major < 15 { "" } else { STATISTICS };
    [
        ("{SETTINGS}", settings.concat()),
        ("{STATS}", stats.to_owned()),
        ("{SLOT_COLUMNS}", format!("{wal_status}, {inactive} AS inactive_since")),
        ("{STATISTICS}", statistics.to_owned()),
        ("{IDLE_AFTER_US}", whole_us(policy.idle_after_ms).to_string()),
        ("{US}", "(pg_catalog.date_part('epoch', ".to_owned()),
        ("{/US}", ") OPERATOR(pg_catalog.*) 1000000)::bigint".to_owned()),
    ]
}

const STATISTICS: &str = ",
'temp_bytes', (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_db_temp_bytes(oid))::bigint FROM pg_catalog.pg_database),
'archiver', (SELECT pg_catalog.json_build_object('archived', archived_count, 'failed', failed_count,
'archived_at', {US}last_archived_time{/US}, 'failed_at', {US}last_failed_time{/US})
FROM pg_catalog.pg_stat_get_archiver()
WHERE pg_catalog.current_setting('archive_mode') OPERATOR(pg_catalog.<>) 'off')";

/// A finite, whole number of microseconds, as SQL writes it.
#[allow(clippy::cast_possible_truncation, reason = "clamped; not a number becomes 0")]
fn whole_us(ms: f64) -> i64 {
    (ms.clamp(0.0, 1e12) * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that may stand before a parenthesis without a schema: they are the grammar's, not the catalogue's.
    const GRAMMAR: [&str; 19] = [
        "AND",
        "ANY",
        "ARRAY",
        "AS",
        "BY",
        "COALESCE",
        "EXISTS",
        "FILTER",
        "FROM",
        "GREATEST",
        "IN",
        "LATERAL",
        "MATERIALIZED",
        "NOT",
        "OPERATOR",
        "OR",
        "THEN",
        "WHERE",
        "u",
    ];

    /// The statement without its literals.
    fn bare(sql: &str) -> String {
        sql.split('\'').step_by(2).collect::<Vec<_>>().join("''")
    }

    #[test]
    fn every_operator_and_function_is_qualified() {
        for version in [120_000, 130_000, 150_000, 170_000, 180_000] {
            let sql = bare(&statement(version, &Policy::default()));
            let mut rest = sql.as_str();
            while let Some(at) = rest.find('(') {
                let before = rest[..at].trim_end();
                let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').next();
                let name = name.unwrap_or_default();
                let known = name.is_empty() || name.starts_with("pg_catalog.") || GRAMMAR.contains(&name);
                assert!(known, "{name} is not qualified");
                rest = &rest[at + 1..];
            }
            // What is left when every qualified operator is taken out; each ends in a parenthesis.
            let mut pieces = sql.split("OPERATOR(pg_catalog.");
            let first = pieces.next().unwrap_or_default().to_owned();
            let plain = pieces.fold(first, |plain, s| plain + s.split_once(')').map_or("", |(_, rest)| rest));
            for mark in [
                "=", "<", ">", "+", "/", "||", "~", " - ", "BETWEEN", " IN ", "LIKE", "USING", "DISTINCT",
                "NULLIF",
            ] {
                assert!(!plain.contains(mark), "{mark} finds its operator by the search_path");
            }
            assert!(!sql.contains('{'), "a mark was left in the statement");
        }
    }

    #[test]
    fn a_policy_without_sense_makes_no_broken_statement() {
        for (ms, us) in [(f64::NAN, 0), (f64::INFINITY, 1_000_000_000_000_000), (-1.0, 0), (0.5, 500)] {
            assert_eq!(whole_us(ms), us);
        }
    }
}
