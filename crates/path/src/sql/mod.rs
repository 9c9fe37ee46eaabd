//! The one statement in which the server tells of itself, and the reading of its answer.
//!
//! One statement, one row, one column: a JSON document of [`facts::SqlFacts`] and of the locks from which [`read`]
//! completes it. Every name and operator in it is qualified, for it runs under any search_path. It calls no function
//! whose use is not granted to PUBLIC: the executor checks that when it starts, and no CASE protects from it. Functions
//! instead of the views over them, where there are any: the server then opens and plans a tenth of the relations.
//!
//! Not in here: sending it, and its deadline.

pub mod facts;
mod locks;
mod version;

pub use version::version_num;

use facts::SqlFacts;
use pgmedic_model::Policy;
use serde::Deserialize;

const STATEMENT: &str = include_str!("statement.sql");

/// The statement for a server of this `server_version_num`, 120000 or later. Its only column is text, to be given to
/// [`read`]; it changes nothing, runs in a read-only transaction and on a standby, and for a role with no more than
/// CONNECT.
#[must_use]
pub fn statement(version_num: u32, policy: &Policy) -> String {
    let major = version_num / 10_000;
    let sql: String = STATEMENT
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("--"))
        .flat_map(|line| [line, "\n"])
        .collect();
    pieces(major, policy).iter().fold(sql, |sql, (name, piece)| sql.replace(name, piece))
}

/// What stands in the statement's marked places.
fn pieces(major: u32, policy: &Policy) -> [(&'static str, String); 8] {
    // Until Postgres 14 membership alone opened pg_stat_activity, also without INHERIT (`HAS_PGSTAT_PERMISSIONS`).
    let stats = if major < 15 { "MEMBER" } else { "USAGE" };
    // Until Postgres 17 walsenders counted towards the limits of roles and databases (`CountUserBackends`).
    let walsenders = if major < 18 { "OR a.backend_type OPERATOR(pg_catalog.=) 'walsender'" } else { "" };
    let wal_status = if major < 13 {
        "NULL::pg_catalog.text AS wal_status, NULL::bigint AS safe_wal_bytes"
    } else {
        "s.wal_status, s.safe_wal_size AS safe_wal_bytes"
    };
    let inactive = if major < 17 { "NULL::float8" } else { "{SINCE} s.inactive_since {MS}" };
    // Until Postgres 14 these were read from a file of the statistics collector, after a wait for a new one: 10 ms as
    // a rule, 10 s where it cannot be written because the disk is full.
    let (temp_bytes, archiver) =
        if major < 15 { ("0", "NULL::pg_catalog.json") } else { (TEMP_BYTES, ARCHIVER) };
    [
        ("{STATS}", stats.to_owned()),
        ("{WALSENDERS}", walsenders.to_owned()),
        ("{SLOT_COLUMNS}", format!("{wal_status}, {inactive} AS inactive_ms")),
        ("{TEMP_BYTES}", temp_bytes.to_owned()),
        ("{ARCHIVER}", archiver.to_owned()),
        ("{IDLE_AFTER_MS}", whole_ms(policy.idle_after_ms).to_string()),
        ("{SINCE}", SINCE.to_owned()),
        ("{MS}", MS.to_owned()),
    ]
}

/// Opens an expression of milliseconds since a time, which [`MS`] closes.
const SINCE: &str =
    "pg_catalog.round(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)";
const MS: &str = ") OPERATOR(pg_catalog.*) 1000)";

const TEMP_BYTES: &str =
    "(SELECT COALESCE(pg_catalog.sum(pg_catalog.pg_stat_get_db_temp_bytes(oid)), 0)::bigint FROM d)";

const ARCHIVER: &str = "(SELECT pg_catalog.json_build_object(
'archived', s.archived_count,
'failed', s.failed_count,
'failing', s.last_failed_time IS NOT NULL AND (s.last_archived_time IS NULL
OR s.last_failed_time OPERATOR(pg_catalog.>) s.last_archived_time),
'last_failed_ms', {SINCE} s.last_failed_time {MS},
'last_archived_ms', {SINCE} s.last_archived_time {MS})
FROM pg_catalog.pg_stat_get_archiver() s
WHERE pg_catalog.current_setting('archive_mode') OPERATOR(pg_catalog.<>) 'off')";

/// A finite, whole number of milliseconds, as SQL writes it.
#[allow(clippy::cast_possible_truncation, reason = "clamped; not a number becomes 0")]
fn whole_ms(ms: f64) -> i64 {
    ms.clamp(0.0, 1e15) as i64
}

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not in bytea's escape format: something other than [`statement`] was answered.
    #[error("the answer is not in bytea's escape format at byte {0}")]
    Escape(usize),
    /// Not the document that [`statement`] asks for.
    #[error("the answer is not the document asked for: {0}")]
    Json(#[from] serde_json::Error),
}

/// The statement's whole document.
#[derive(Deserialize)]
struct Answer {
    facts: SqlFacts,
    #[serde(flatten)]
    locks: locks::Locks,
}

/// Reads the one column that [`statement`] answers with.
///
/// # Errors
/// [`ReadError`] where it is not such an answer.
pub fn read(json: &str) -> Result<SqlFacts, ReadError> {
    let bytes = unescape(json)?;
    let answer: Answer = serde_json::from_str(&String::from_utf8_lossy(&bytes))?;
    let mut facts = answer.facts;
    answer.locks.complete(&mut facts.sessions);
    Ok(facts)
}

/// Undoes `encode(…, 'escape')`: `\\` and three octal digits for a byte that is not ASCII. The server sends the document
/// so because texts from databases of other encodings stand in it, which it could not convert for the client.
fn unescape(text: &str) -> Result<Vec<u8>, ReadError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (byte, length) = match &rest[at + 1..] {
            [b'\\', ..] => (b'\\', 2),
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                ((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), 4)
            }
            _ => return Err(ReadError::Escape(text.len() - rest.len() + at)),
        };
        out.push(byte);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}
