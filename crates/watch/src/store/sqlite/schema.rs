//! The file's schema by version, and whose a file is.

use super::Trouble;
use rusqlite::Connection;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// `application_id` of the file's header (sqlite.org/fileformat2.html, offset 68): `pgmd`.
const APPLICATION: i32 = 0x7067_6d64;

/// One step of the schema each; `user_version` counts those that were done. A step is never changed once it was released.
const STEPS: [&str; 2] = ["
create table incident (
    id text primary key, service text not null, cause text not null, opened_at integer not null,
    updated_at integer not null, closed_at integer, body text not null, report text);
create index incident_by_time on incident (opened_at);
create index incident_open on incident (closed_at);
create table incident_service (service text not null, id text not null, primary key (service, id)) without rowid;
create index incident_service_by_id on incident_service (id);
create table outbox (
    id integer primary key, receiver text not null, incident text not null, put_at integer not null,
    due integer not null, tries integer not null, body text not null);
create table look (
    service text not null, at integer not null, kind text not null, status text not null, elapsed_ms real not null,
    lag_ms real not null, roots text not null, failed integer not null);
create index look_by_service on look (service, at);
create index look_by_age on look (failed, at);
create table fix (
    number integer primary key autoincrement, service text not null, incident text not null, automatic integer not null,
    by_whom text not null, at integer not null, ended_at integer, applied integer, recovered integer);
create index fix_by_service on fix (service, at);
","
create table subject (
    id integer primary key autoincrement, service text not null, server text not null, name text not null,
    unit text not null, last integer not null, unique (service, server, name));
create table sample (
    step integer not null, slot integer not null, subject integer not null, at integer not null, value real not null,
    primary key (step, slot, subject)) without rowid;
"];

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Nobody's: there is none, or it is empty.
    Free,
    /// pgmedic's, whole or not.
    Ours,
    /// Somebody else's: it must not be touched.
    Foreign,
}

/// Whose a file is, by its header alone: nothing of it is changed.
pub(super) fn whose(path: &Path) -> std::io::Result<Whose> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Whose::Free),
        opened => opened?,
    };
    let mut header = Vec::new();
    file.by_ref().take(100).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(Whose::Free);
    }
    let ours =
        header.starts_with(b"SQLite format 3\0") && header.get(68..72) == Some(&APPLICATION.to_be_bytes());
    Ok(if ours { Whose::Ours } else { Whose::Foreign })
}

/// Brings a file that is new or ours to this version.
///
/// # Errors
/// Where it cannot be, or a later pgmedic made it.
pub(super) fn bring_up(db: &mut Connection) -> Result<(), Trouble> {
    let version: i64 = db.query_row("pragma user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        let why = format!("a later pgmedic made it: its schema is {version}, this one knows {}", STEPS.len());
        return Err(Trouble::Broken(why));
    }
    for (step, sql) in STEPS.iter().enumerate().skip(version) {
        let step = step + 1;
        let turn = db.transaction()?;
        turn.execute_batch(sql)?;
        turn.execute_batch(&format!("pragma user_version = {step}"))?;
        turn.commit()?;
    }
    Ok(())
}

/// Sees that a file is of a version that is known and has what is `needed`, and changes nothing.
///
/// # Errors
/// In words, where it is not.
pub(super) fn is_known(db: &Connection, needed: usize) -> Result<(), String> {
    let version: i64 =
        db.query_row("pragma user_version", [], |row| row.get(0)).map_err(|error| error.to_string())?;
    match usize::try_from(version).unwrap_or(usize::MAX) {
        version if (needed..=STEPS.len()).contains(&version) => Ok(()),
        version if version > STEPS.len() => {
            Err(format!("a later pgmedic made it: its schema is {version}, this one knows {}", STEPS.len()))
        }
        _ => Err("pgmedic watch has not brought it to this version yet".to_owned()),
    }
}

/// How the file is kept. Memory: a cache of 256 kB and no map. Each commit is on disk (`synchronous = full`) before it is
/// acknowledged, a loss of power included: commits are few, for looks are written together and incidents are seldom, and
/// what may not be lost (an alert, a fix that was begun) is exactly what is committed by itself.
pub(super) fn settings(pages: u64) -> String {
    format!(
        "pragma auto_vacuum = incremental; pragma application_id = {APPLICATION}; pragma journal_mode = wal;
         pragma synchronous = full; pragma cache_size = -256; pragma mmap_size = 0; pragma temp_store = file;
         pragma wal_autocheckpoint = 200; pragma journal_size_limit = 1048576; pragma foreign_keys = off;
         pragma trusted_schema = off; pragma max_page_count = {pages};"
    )
}
