//! What writes into the file. Reading is in `read`, dropping what is old in `prune`.

use super::Book;
use crate::alerts::Entry;
use crate::incident::Incident;
use crate::store::entry::{Begun, Put};
use crate::store::op::{Answer, Op, taken_apart};
use pgmedic_model::Timestamp;
use rusqlite::{Connection, Error, params};

type Outcome<T> = Result<T, Error>;

/// What an operation does, in words for an error.
pub(in crate::store) const fn what(op: &Op) -> &'static str {
    match op {
        Op::Put(..) => "keep an incident and its alerts",
        Op::Looks(_) => "keep looks",
        Op::Samples(_) => "keep samples of what grows",
        Op::SamplesOf { .. } => "tell what was seen of what grows",
        Op::Pending { .. } => "tell which alerts are to be sent",
        Op::Settle { .. } => "note what became of alerts",
        Op::Begin(..) | Op::Ended { .. } | Op::Fixes(_) => "note a fix",
        Op::Done { .. } => "tell what was done",
        Op::Incidents(_) | Op::Find { .. } | Op::Restore(_) => "tell of incidents",
        Op::LooksOf { .. } => "tell of looks",
        Op::Prune(_) => "drop what is old",
        Op::Leads(_) | Op::Renew => "say who speaks for a service",
    }
}

impl Book {
    /// Does one thing, once.
    pub(super) fn once(&mut self, op: Op) -> Outcome<Answer> {
        let db = &mut self.db;
        match op {
            Op::Put(incident, entries) => put(db, incident.as_deref(), &entries),
            Op::Looks(rows) => looks(db, &rows),
            Op::Samples(rows) => super::samples::keep(db, &rows),
            Op::Settle { delivered, tried } => settle(db, &delivered, &tried),
            Op::Begin(begun, at) => begin(db, &begun, at),
            Op::Ended { number, applied, recovered, at } => {
                let sql = "update fix set ended_at = ?2, applied = ?3, recovered = ?4 where number = ?1";
                db.execute(sql, params![number, at.0, applied, recovered]).map(|_| Answer::Nothing)
            }
            Op::Fixes(fixes) => super::moved::put_fixes(db, &fixes).map(|()| Answer::Nothing),
            Op::Prune(now) => super::prune::prune(db, &self.keep, now).map(Answer::Size),
            // The file is this watcher's alone.
            Op::Leads(_) => Ok(Answer::Led(None)),
            Op::Renew => Ok(Answer::Nothing),
            read => super::read::read(db, read),
        }
    }
}

fn put(db: &mut Connection, incident: Option<&Incident>, entries: &[Entry]) -> Outcome<Answer> {
    let turn = db.transaction()?;
    if let Some(incident) = incident {
        keep(&turn, incident)?;
    }
    for e in entries {
        let sql = "insert or replace into outbox (id, receiver, incident, put_at, due, tries, body)
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        turn.execute(sql, params![e.id, e.receiver, e.incident, e.put_at.0, e.due.0, e.tries, e.body])?;
    }
    turn.commit()?;
    Ok(Answer::Put(Put::Kept))
}

fn keep(db: &Connection, i: &Incident) -> Outcome<()> {
    let (body, report) = taken_apart(i).map_err(|e| Error::ToSqlConversionFailure(Box::new(e)))?;
    let sql = "insert into incident (id, service, cause, opened_at, updated_at, closed_at, body, report)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               on conflict (id) do update set cause = excluded.cause, updated_at = excluded.updated_at,
                   closed_at = excluded.closed_at, body = excluded.body,
                   report = coalesce(incident.report, excluded.report)";
    let closed = i.closed_at.map(|at| at.0);
    db.execute(sql, params![i.id, i.service, i.cause, i.opened_at.0, i.updated_at.0, closed, body, report])?;
    let mut service = db.prepare("insert or ignore into incident_service (service, id) values (?1, ?2)")?;
    for name in i.services.keys() {
        service.execute([name, &i.id])?;
    }
    Ok(())
}

fn looks(db: &mut Connection, rows: &[(std::sync::Arc<str>, crate::http::Looked)]) -> Outcome<Answer> {
    let turn = db.transaction()?;
    {
        let sql = "insert into look (service, at, kind, status, elapsed_ms, lag_ms, roots, failed)
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut insert = turn.prepare(sql)?;
        for (service, look) in rows {
            let kind = super::read::kind_word(look.kind);
            let (status, failed) = (look.status.as_str(), look.status != pgmedic_model::Status::Ok);
            let roots = look.roots.join(" ");
            let row =
                params![&**service, look.at.0, kind, status, look.elapsed_ms.0, look.lag_ms.0, roots, failed];
            insert.execute(row)?;
        }
    }
    turn.commit()?;
    Ok(Answer::Nothing)
}

fn settle(db: &mut Connection, delivered: &[i64], tried: &[(i64, u32, Timestamp)]) -> Outcome<Answer> {
    let turn = db.transaction()?;
    for id in delivered {
        turn.execute("delete from outbox where id = ?1", [id])?;
    }
    for (id, tries, due) in tried {
        turn.execute("update outbox set tries = ?2, due = ?3 where id = ?1", params![id, tries, due.0])?;
    }
    turn.commit()?;
    Ok(Answer::Nothing)
}

fn begin(db: &Connection, begun: &Begun, at: Timestamp) -> Outcome<Answer> {
    let sql = "insert into fix (service, incident, automatic, by_whom, at) values (?1, ?2, ?3, ?4, ?5)";
    db.execute(sql, params![begun.service, begun.incident, begun.automatic, begun.by, at.0])?;
    Ok(Answer::Number(db.last_insert_rowid()))
}
