//! A store in memory that stands in for a file which could not be opened: what it holds, as what is to be done to the file once
//! that can be. Not in here: when it is tried (`worker`).

use super::read::{all, entry, incident, looked};
use super::{Book, Keep, Said};
use crate::store::entry::StoreError;
use crate::store::op::{FixRow, Op};
use pgmedic_model::Timestamp;
use rusqlite::{Connection, Error, Row, params};
use std::sync::Arc;

impl Book {
    /// One that stands in. Its fixes are counted from a number on that the file has not come to.
    pub(in crate::store) fn stand_in(keep: Keep, said: Said, now: Timestamp) -> Result<Self, StoreError> {
        let book = Self::open(None, keep, said)?;
        let failed = |error: Error| StoreError::Failed {
            place: "memory".to_owned(),
            what: "begin",
            why: error.to_string(),
        };
        book.db
            .execute("insert into sqlite_sequence (name, seq) values ('fix', ?1)", [now.0])
            .map_err(failed)?;
        Ok(book)
    }

    /// All that it holds. What may be done twice comes first.
    pub(in crate::store) fn holds(&self) -> Result<Vec<Op>, String> {
        self.all_of_it().map_err(|error| error.to_string())
    }

    fn all_of_it(&self) -> Result<Vec<Op>, Error> {
        let db = &self.db;
        let incidents = all(db, "select body, report from incident", params![], incident)?;
        let mut ops: Vec<Op> =
            incidents.into_iter().map(|i| Op::Put(Some(Arc::new(i)), Vec::new())).collect();
        let sql = "select id, receiver, incident, put_at, due, tries, body from outbox";
        ops.push(Op::Put(None, all(db, sql, params![], entry)?));
        let sql =
            "select number, service, incident, automatic, by_whom, at, ended_at, applied, recovered from fix";
        ops.push(Op::Fixes(all(db, sql, params![], fix)?));
        let sql = "select at, kind, status, elapsed_ms, lag_ms, roots, service from look order by at";
        let look = |row: &Row<'_>| Ok((Arc::from(row.get::<_, String>(6)?), looked(row)?));
        ops.push(Op::Looks(all(db, sql, params![], look)?));
        ops.insert(0, Op::Samples(super::samples::all_of_them(db)?));
        Ok(ops)
    }
}

fn fix(row: &Row<'_>) -> Result<FixRow, Error> {
    Ok(FixRow {
        number: row.get(0)?,
        service: row.get(1)?,
        incident: row.get(2)?,
        automatic: row.get(3)?,
        by: row.get(4)?,
        at: Timestamp(row.get(5)?),
        ended_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        applied: row.get(7)?,
        recovered: row.get(8)?,
    })
}

/// Keeps fixes under the numbers that they have.
pub(super) fn put_fixes(db: &mut Connection, fixes: &[FixRow]) -> Result<(), Error> {
    let turn = db.transaction()?;
    for f in fixes {
        let sql = "insert or replace into fix (number, service, incident, automatic, by_whom, at, ended_at, applied, recovered)
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let ended = f.ended_at.map(|at| at.0);
        let row = params![
            f.number,
            f.service,
            f.incident,
            f.automatic,
            f.by,
            f.at.0,
            ended,
            f.applied,
            f.recovered
        ];
        turn.execute(sql, row)?;
    }
    turn.commit()
}
