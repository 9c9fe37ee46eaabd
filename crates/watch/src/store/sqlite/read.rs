//! What reads from the file.

use crate::alerts::Entry;
use crate::http::{Filter, Looked};
use crate::incident::Incident;
use crate::policy::Done;
use crate::seen::Kind;
use crate::store::entry::Found;
use crate::store::op::{Answer, Op, put_together};
use pgmedic_model::{Ms, Status, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, Params, Row, params};

type Outcome<T> = Result<T, Error>;

/// The most incidents of one answer.
const MOST: usize = 1000;

/// Answers what only reads.
pub(super) fn read(db: &Connection, op: Op) -> Outcome<Answer> {
    match op {
        Op::Pending { after, limit } => {
            let sql = "select id, receiver, incident, put_at, due, tries, body from outbox where id > ?1 order by id limit ?2";
            all(db, sql, params![after, number(limit)], entry).map(Answer::Entries)
        }
        Op::Done { service, since } => {
            let sql = "select at, ended_at, automatic, applied, number from fix where service = ?1 and at >= ?2 order by at";
            all(db, sql, params![service, since.0], done).map(Answer::Done)
        }
        Op::Incidents(filter) => incidents(db, &filter).map(Answer::Incidents),
        Op::Find { id, whole } => find(db, &id, whole).map(Answer::Found),
        Op::LooksOf { service, since, limit } => {
            let sql =
                "select at, kind, status, elapsed_ms, lag_ms, roots from look where service = ?1 and at >= ?2
                       order by at desc limit ?3";
            all(db, sql, params![service, since.0, number(limit)], looked).map(Answer::Looks)
        }
        Op::SamplesOf { service, server, now } => super::samples::of(db, &service, &server, now),
        Op::Restore(since) => {
            let sql =
                "select body, report from incident where closed_at is null or closed_at >= ?1 order by id";
            all(db, sql, params![since.0], incident).map(Answer::Incidents)
        }
        _ => Ok(Answer::Nothing),
    }
}

pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    with: impl Params,
    read: fn(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    db.prepare(sql)?.query_map(with, read)?.collect()
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn entry(row: &Row<'_>) -> Outcome<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        receiver: row.get(1)?,
        incident: row.get(2)?,
        put_at: Timestamp(row.get(3)?),
        due: Timestamp(row.get(4)?),
        tries: row.get(5)?,
        body: row.get(6)?,
    })
}

fn done(row: &Row<'_>) -> Outcome<(i64, Done)> {
    let ended: Option<i64> = row.get(1)?;
    let done = Done {
        at: Timestamp(row.get(0)?),
        ended_at: ended.map(Timestamp),
        automatic: row.get(2)?,
        applied: row.get(3)?,
    };
    Ok((row.get(4)?, done))
}

/// A row of body and report.
pub(super) fn incident(row: &Row<'_>) -> Outcome<Incident> {
    let (body, report): (String, Option<String>) = (row.get(0)?, row.get(1)?);
    put_together(&body, report.as_deref())
        .map_err(|e| Error::FromSqlConversionFailure(0, Type::Text, Box::new(e)))
}

fn incidents(db: &Connection, f: &Filter) -> Outcome<Vec<Incident>> {
    let sql = "select body, null from incident
               where (?1 is null or id in (select id from incident_service where service = ?1))
                 and (?2 is null or (closed_at is null) = ?2)
               order by opened_at desc, id desc limit ?3";
    let limit = if f.limit == 0 { 100 } else { f.limit.min(MOST) };
    all(db, sql, params![f.service, f.open, number(limit)], incident)
}

fn find(db: &Connection, id: &str, whole: bool) -> Outcome<Found> {
    // The ids that begin so are those between it and what would follow them all.
    let sql = "select id from incident where id = ?1 or (not ?2 and substr(id, 1, length(?1)) = ?1) order by id limit 11";
    let mut ids: Vec<String> = all(db, sql, params![id, whole], |row| row.get(0))?;
    if ids.iter().any(|found| found == id) {
        ids = vec![id.to_owned()];
    }
    match &ids[..] {
        [] => Ok(Found::Nothing),
        [one] => {
            let sql = "select body, report from incident where id = ?1";
            db.query_row(sql, [one], incident).map(|incident| Found::One(Box::new(incident)))
        }
        _ => {
            ids.truncate(10);
            Ok(Found::Several(ids))
        }
    }
}

pub(super) fn looked(row: &Row<'_>) -> Outcome<Looked> {
    let (kind, status, roots): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(5)?);
    Ok(Looked {
        at: Timestamp(row.get(0)?),
        kind: if kind == kind_word(Kind::Look) { Kind::Look } else { Kind::Walk },
        status: status_of(&status),
        elapsed_ms: Ms(row.get(3)?),
        lag_ms: Ms(row.get(4)?),
        roots: roots.split_whitespace().map(str::to_owned).collect(),
    })
}

pub(in crate::store) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Look => "look",
        Kind::Walk => "walk",
    }
}

pub(in crate::store) fn status_of(word: &str) -> Status {
    let all = [Status::Ok, Status::Warning, Status::Critical];
    all.into_iter().find(|status| status.as_str() == word).unwrap_or(Status::Unknown)
}
