//! The statement's answer as the server writes it, and its reading.

use super::facts::SqlFacts;
use super::locks::LockRow;
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not wrapped as the statement wraps it: something else was answered.
    #[error("the answer is not wrapped as it was asked for, at byte {0}")]
    Wrapping(usize),
    /// Not the document that the statement asks for.
    #[error("the answer is not the document asked for: {0}")]
    Json(#[from] serde_json::Error),
}

/// Reads the one column that [`super::statement`] answers with.
///
/// # Errors
/// [`ReadError`] where it is not such an answer.
pub fn read(json: &str) -> Result<SqlFacts, ReadError> {
    let bytes = unquote(&unescape(json)?)?;
    let answer: Answer = serde_json::from_str(&String::from_utf8_lossy(&bytes))?;
    Ok(answer.into_facts())
}

/// Undoes `encode(…, 'escape')`: `\\`, and three octal digits for a byte that is not ASCII. The server sends the
/// document so because it holds texts from databases of other encodings, which it could not convert for the client.
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
            _ => return Err(ReadError::Wrapping(text.len() - rest.len() + at)),
        };
        out.push(byte);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Undoes what `quote_literal()` did and `decode(…, 'escape')` left: `'…'` or `E'…'` around it, and each quote twice.
fn unquote(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    let quoted = bytes.strip_prefix(b"E").unwrap_or(bytes);
    let within = quoted.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'"));
    let within = within.ok_or(ReadError::Wrapping(0))?;
    let mut out = Vec::with_capacity(within.len());
    let mut first_of_two = false;
    for byte in within {
        first_of_two = *byte == b'\'' && !first_of_two;
        if !first_of_two {
            out.push(*byte);
        }
    }
    Ok(out)
}

/// Microseconds of the epoch.
pub(super) type Us = i64;

/// The document. An oid is a text in JSON; what joins two of them never looks into it.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) now: Us,
    pub(super) started: Us,
    pub(super) role: String,
    pub(super) database: String,
    pub(super) pid: i32,
    /// None where the role that grants it is missing, as in some forks.
    pub(super) stats: Option<bool>,
    pub(super) signals: Option<bool>,
    pub(super) standby: bool,
    pub(super) settings: HashMap<String, Option<String>>,
    #[serde(deserialize_with = "rows")]
    pub(super) groups: Vec<GroupRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) sessions: Vec<SessionRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) waits: Vec<WaitRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) prepared: Vec<PreparedRow>,
    pub(super) prepared_total: u64,
    #[serde(deserialize_with = "rows")]
    pub(super) locks: Vec<LockRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) databases: Vec<DatabaseRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) roles: Vec<RoleRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) set_for: Vec<SettingRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) pending_restart: Vec<String>,
    pub(super) system_identifier: Option<String>,
    pub(super) replayed: Option<Us>,
    pub(super) receiver: Option<ReceiverRow>,
    #[serde(deserialize_with = "rows")]
    pub(super) slots: Vec<SlotRow>,
    pub(super) database_bytes: Option<u64>,
    /// Postgres 15+.
    #[serde(default)]
    pub(super) temp_bytes: Option<u64>,
    /// Postgres 15+, where archiving is on.
    #[serde(default)]
    pub(super) archiver: Option<ArchiverRow>,
}

/// `json_agg` of no rows is NULL.
fn rows<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

/// Backends that are alike.
#[derive(Deserialize)]
pub(super) struct GroupRow {
    pub(super) application: Option<String>,
    pub(super) role_id: Option<String>,
    pub(super) role: Option<String>,
    pub(super) datid: Option<String>,
    pub(super) client_addr: Option<String>,
    pub(super) local: Option<bool>,
    pub(super) state: Option<String>,
    pub(super) backend_type: Option<String>,
    pub(super) own: Option<bool>,
    pub(super) waits: Option<bool>,
    pub(super) count: u64,
    pub(super) since: Option<Us>,
    pub(super) over_idle_after: u64,
}

/// One backend.
#[derive(Deserialize)]
pub(super) struct SessionRow {
    pub(super) pid: i32,
    pub(super) datid: Option<String>,
    pub(super) role_id: Option<String>,
    pub(super) application: Option<String>,
    pub(super) state: Option<String>,
    pub(super) wait_event_type: Option<String>,
    pub(super) wait_event: Option<String>,
    pub(super) backend_type: Option<String>,
    pub(super) client_addr: Option<String>,
    pub(super) local: Option<bool>,
    pub(super) started: Option<Us>,
    pub(super) xact: Option<Us>,
    pub(super) asked: Option<Us>,
    pub(super) since: Option<Us>,
    pub(super) query: pgmedic_model::MaskedSql,
}

/// A waiter and `pg_blocking_pids()` of it.
#[derive(Deserialize)]
pub(super) struct WaitRow {
    pub(super) pid: i32,
    pub(super) blocked_by: Vec<i32>,
}

/// `pg_prepared_xact()`.
#[derive(Deserialize)]
pub(super) struct PreparedRow {
    pub(super) transaction: String,
    pub(super) gid: String,
    pub(super) prepared: Us,
    pub(super) owner: String,
    pub(super) dbid: String,
}

/// `pg_database`.
#[derive(Deserialize)]
pub(super) struct DatabaseRow {
    pub(super) oid: String,
    pub(super) name: String,
    pub(super) connections: i64,
    pub(super) allows: bool,
    pub(super) xids: i64,
    pub(super) mxids: i64,
}

/// `pg_roles`.
#[derive(Deserialize)]
pub(super) struct RoleRow {
    pub(super) oid: String,
    pub(super) name: String,
    pub(super) superuser: bool,
    pub(super) connections: i64,
}

/// One setting of `pg_db_role_setting`.
#[derive(Deserialize)]
pub(super) struct SettingRow {
    pub(super) datid: String,
    pub(super) role_id: String,
    pub(super) role: String,
    pub(super) setting: String,
}

/// `pg_stat_get_wal_receiver()`: without a receiver a row of NULL, for a plain role the pid alone.
#[derive(Deserialize)]
pub(super) struct ReceiverRow {
    pub(super) pid: Option<i32>,
    pub(super) status: Option<String>,
}

/// `pg_get_replication_slots()`.
#[derive(Deserialize)]
pub(super) struct SlotRow {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) datid: Option<String>,
    pub(super) active: bool,
    pub(super) temporary: bool,
    pub(super) wal_status: Option<String>,
    pub(super) safe_wal_bytes: Option<i64>,
    pub(super) inactive_since: Option<Us>,
    pub(super) retained: Option<i64>,
    pub(super) xmin_age: Option<i64>,
}

/// `pg_stat_get_archiver()`.
#[derive(Deserialize)]
pub(super) struct ArchiverRow {
    pub(super) archived: u64,
    pub(super) failed: u64,
    pub(super) archived_at: Option<Us>,
    pub(super) failed_at: Option<Us>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_ascii_come_back_as_they_were() {
        assert_eq!(
            unescape(r#"{"a\\"b" : "caf\303\251 \377"}"#).ok(),
            Some(b"{\"a\\\"b\" : \"caf\xc3\xa9 \xff\"}".to_vec())
        );
        for (broken, at) in [("a\\", 1), ("\\x", 0), ("ab\\40", 2), ("\\400", 0)] {
            assert!(matches!(unescape(broken), Err(ReadError::Wrapping(place)) if place == at), "{broken}");
        }
    }

    #[test]
    fn a_quoted_text_comes_back_as_it_was() {
        for (quoted, text) in [("'it''s'", "it's"), (r"E'a\b '''' c'", r"a\b '' c"), ("''", "")] {
            assert_eq!(unquote(quoted.as_bytes()).ok().as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn another_answer_is_an_error_and_not_a_panic() {
        for text in ["", "1", "'", "''", "'null'", "'{}'", "E'[]'", "'{\"now\" : 1'", "{}", "'\\377'"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
