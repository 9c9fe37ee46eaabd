//! Samples of what grows, in the file. Rows of one slot lie side by side: what is written at once is written to few pages.

use super::read::all;
use crate::store::op::Answer;
use crate::store::samples::{GONE, NOTED, Row, Sample, TIERS, series};
use pgmedic_model::Timestamp;
use rusqlite::{Connection, Error, params};
use std::sync::Arc;

/// Keeps them, of each slot the highest.
pub(super) fn keep(db: &mut Connection, rows: &[Sample]) -> Result<Answer, Error> {
    let turn = db.transaction()?;
    {
        let mut subject = turn.prepare(
            "insert into subject as s (service, server, name, unit, last) values (?1, ?2, ?3, ?4, ?5)
             on conflict (service, server, name) do update set last = excluded.last where s.last < excluded.last - ?6",
        )?;
        let mut id =
            turn.prepare("select id from subject where service = ?1 and server = ?2 and name = ?3")?;
        let mut put = turn.prepare(
            "insert into sample as s (step, slot, subject, at, value) values (?1, ?2, ?3, ?4, ?5)
             on conflict (step, slot, subject) do update set at = excluded.at, value = excluded.value
             where s.value < excluded.value",
        )?;
        for s in rows {
            subject.execute(params![&*s.service, &*s.server, s.subject, s.unit, s.at.0, NOTED])?;
            let id: i64 = id.query_row(params![&*s.service, &*s.server, s.subject], |row| row.get(0))?;
            for tier in TIERS {
                put.execute(params![tier.step, tier.slot(s.at), id, s.at.0, s.value])?;
            }
        }
    }
    turn.commit()?;
    Ok(Answer::Nothing)
}

/// Those of a service. Each slot is looked up by itself: a thousand other services' are not read.
pub(super) fn of(db: &Connection, service: &str, server: &str, now: Timestamp) -> Result<Answer, Error> {
    let sql = "with recursive slot (n) as (select ?4 union all select n + 1 from slot where n < ?5)
               select s.name, s.unit, q.at, q.value
               from subject s cross join slot cross join sample q
               where s.service = ?1 and (?2 = '' or s.server in ('', ?2))
                 and q.step = ?3 and q.slot = slot.n and q.subject = s.id";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Row { subject: row.get(0)?, unit: row.get(1)?, at: Timestamp(row.get(2)?), value: row.get(3)? })
    };
    let mut tiers = Vec::with_capacity(TIERS.len());
    for tier in TIERS {
        let with = params![service, server, tier.step, tier.oldest(now), tier.slot(now) + 1];
        tiers.push(all(db, sql, with, row)?);
    }
    Ok(Answer::Samples(series(tiers)))
}

/// All of them, as they were taken.
pub(super) fn all_of_them(db: &Connection) -> Result<Vec<Sample>, Error> {
    let sql = "select s.service, s.server, s.name, s.unit, q.at, q.value from sample q join subject s on s.id = q.subject";
    all(db, sql, params![], |row| {
        Ok(Sample {
            service: Arc::from(row.get::<_, String>(0)?),
            server: Arc::from(row.get::<_, String>(1)?),
            subject: row.get(2)?,
            unit: row.get(3)?,
            at: Timestamp(row.get(4)?),
            value: row.get(5)?,
        })
    })
}

/// Drops what is too old, so many rows of each tier at once.
pub(super) fn prune(db: &Connection, now: Timestamp, at_once: i64) -> Result<(), Error> {
    for tier in TIERS {
        let sql = "delete from sample where (step, slot, subject) in
                   (select step, slot, subject from sample where step = ?1 and slot < ?2 order by slot limit ?3)";
        db.execute(sql, params![tier.step, tier.oldest(now), at_once])?;
    }
    db.execute("delete from subject where last < ?1", [now.0.saturating_sub(GONE)])?;
    Ok(())
}
