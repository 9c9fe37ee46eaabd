//! The one statement in which the server tells of itself, and the reading of its answer.
//!
//! One query, whose rows are a tag and a record each. It runs for every role that may connect, on a standby, in a
//! read-only transaction and under any search_path: every name and operator in it is qualified, and it calls no function
//! that is not granted to PUBLIC (the executor checks that before it runs anything, so that no CASE protects from it). It
//! leaves joining, naming and judging to [`read`]: a server that has just forked a backend spends its time on planning.
//!
//! Where somebody waits for a lock or a transaction is prepared, a second statement asks who holds what
//! ([`lock_statement`]): planning that costs as much again, and a healthy server need not.
//!
//! Not in here: sending them, and their deadline.

mod answer;
mod assemble;
pub(crate) mod audit;
mod composite;
mod crowd;
pub mod facts;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod locks;
pub(crate) mod preflight;
mod shown;
mod version;

pub use answer::{Account, read};
pub use composite::ReadError;
use pgmedic_model::Policy;
pub use version::version_num;

const STATEMENT: &str = include_str!("statement.sql");
const SESSIONS: &str = include_str!("sessions.sql");
const CROWD: &str = include_str!("crowd.sql");
const LOCKS: &str = include_str!("locks.sql");

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

/// The statement for a server of this `server_version_num`, 120000 or later. Its rows are to be given to [`read`].
///
/// It sets DateStyle and client_encoding with SET LOCAL: it is to be sent as one simple query, of which the server makes
/// one transaction, unless it is in one already (manual, "Multiple Statements in a Simple Query").
#[must_use]
pub fn statement(version_num: u32) -> String {
    with_pieces(version_num, SESSIONS, DATABASE_BYTES)
}

/// It asks the filesystem for every file: not where pg_class (1259) is of a size (4 MB) that says there are very many.
const DATABASE_BYTES: &str = "CASE WHEN pg_catalog.pg_relation_size(1259) OPERATOR(pg_catalog.<) 4000000
      AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')
    THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END";

fn with_pieces(version_num: u32, sessions: &str, database_bytes: &str) -> String {
    let sql = STATEMENT.replace("{SESSIONS}", sessions).replace("{DATABASE_BYTES}", database_bytes);
    let pieces = pieces(version_num / 10_000);
    pieces.iter().fold(uncommented(&sql), |sql, (mark, piece)| sql.replace(mark, piece))
}

/// The same without its settings, for preparing it on a session that has them: DateStyle ISO and client_encoding
/// SQL_ASCII.
#[must_use]
pub fn account(version_num: u32) -> String {
    without_settings(&statement(version_num))
}

/// A brief account, for preparing it likewise: the sessions are counted on the server and none of them is told, and the
/// database's files are not measured. `policy` says after which time a session rests for long.
#[must_use]
pub fn brief(version_num: u32, policy: &Policy) -> String {
    let whole_ms = format!("{:.0}", policy.idle_after_ms.clamp(0.0, 1e12));
    without_settings(&with_pieces(version_num, &CROWD.replace("{IDLE_AFTER}", &whole_ms), "NULL"))
}

/// The settings come first, each on a line of its own.
fn without_settings(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("SET LOCAL "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Who waits, by what the sessions say of themselves, with when they asked.
const WAITERS: &str = "SELECT pid, query_start AS asked FROM pg_catalog.pg_stat_get_activity(NULL)
  WHERE wait_event_type OPERATOR(pg_catalog.=) 'Lock'";

/// The same for a role that may not see what others wait for: pg_locks is open to everybody, and does not say since when.
const WAITERS_BY_LOCKS: &str =
    "SELECT pid, NULL::pg_catalog.timestamptz AS asked FROM pg_catalog.pg_lock_status()
  WHERE NOT granted AND pid IS NOT NULL";

/// The statement that asks for waiters and locks. Its rows are to be given to [`Account::add_locks`]; it is to be sent as
/// [`statement`] is. `sees_all` where the role may see what every session waits for ([`Account::sees_all`]).
#[must_use]
pub fn lock_statement(sees_all: bool) -> String {
    uncommented(LOCKS).replace("{WAITERS}", if sees_all { WAITERS } else { WAITERS_BY_LOCKS })
}

fn uncommented(sql: &str) -> String {
    let lines = sql.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// What stands in the statement's marked places.
fn pieces(major: u32) -> [(&'static str, String); 5] {
    let settings = SETTINGS.map(|name| format!("pg_catalog.current_setting('{name}', true),\n"));
    // Until Postgres 14 membership alone opened pg_stat_activity, also without INHERIT (`HAS_PGSTAT_PERMISSIONS`).
    let stats = if major < 15 { "MEMBER" } else { "USAGE" };
    let wal_status = if major < 13 { "NULL, NULL" } else { "wal_status, safe_wal_size" };
    let inactive = if major < 17 { "NULL" } else { "inactive_since" };
    // Until Postgres 14 these were read from a file of the statistics collector, after a wait for a new one: 10 ms as
    // a rule, 10 s where it cannot be written because the disk is full (`backend_read_statsfile`).
    let (temp_bytes, archiver) = if major < 15 {
        ("NULL", "NULL")
    } else {
        ("pg_catalog.pg_stat_get_db_temp_bytes(oid)", "pg_catalog.pg_stat_get_archiver()")
    };
    [
        ("{SETTINGS}", settings.concat()),
        ("{STATS}", stats.to_owned()),
        ("{SLOT_COLUMNS}", format!("{wal_status}, {inactive}")),
        ("{TEMP_BYTES}", temp_bytes.to_owned()),
        ("{ARCHIVER}", archiver.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that may stand before a parenthesis without a schema: they are the grammar's, not the catalogue's.
    const GRAMMAR: [&str; 10] =
        ["ALL", "ANY", "ARRAY", "COALESCE", "EXISTS", "FILTER", "FROM", "MATERIALIZED", "OPERATOR", "ROW"];

    /// The statement without its literals.
    fn bare(sql: &str) -> String {
        sql.split('\'').step_by(2).collect::<Vec<_>>().join("''")
    }

    #[test]
    fn every_operator_and_function_is_qualified() {
        let versions = [120_000, 130_000, 150_000, 170_000, 180_000];
        let ahead = versions.map(preflight::queries).into_iter().flat_map(|q| [q.may, q.hba, q.settings]);
        let audit = versions.map(audit::queries).into_iter().flat_map(|q| [q.told, q.hba]);
        let brief = versions.map(|version| brief(version, &Policy::default()));
        for sql in versions
            .map(statement)
            .into_iter()
            .chain(brief)
            .chain([true, false].map(lock_statement))
            .chain(ahead)
            .chain(audit)
        {
            let sql = bare(&sql);
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
}
