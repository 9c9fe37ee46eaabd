//! What keeps the file below its limit: what is too old goes, and where that is not enough the oldest of what is worth least.
//! Freed pages are given back to the file system at once (`auto_vacuum = incremental`).

use crate::store::Keep;
use pgmedic_model::Timestamp;
use rusqlite::{Connection, Error, params};

type Outcome<T> = Result<T, Error>;

/// The most rows of one kind that go at once: nothing waits for a prune.
const AT_ONCE: i64 = 5000;
/// What goes for room, the least worth first: looks that found nothing, the oldest samples of the coarsest tier that has any,
/// looks that found something, closed incidents, fixes. Open incidents and what is still to be told stay.
const FOR_ROOM: [&str; 5] = [
    "delete from look where rowid in (select rowid from look where not failed order by at limit 2000)",
    "delete from sample where (step, slot, subject) in (select step, slot, subject from sample
         where step = (select max(step) from sample) order by slot limit 2000)",
    "delete from look where rowid in (select rowid from look where failed order by at limit 2000)",
    "delete from incident where id in (select id from incident where closed_at is not null order by closed_at limit 50)",
    "delete from fix where number in (select number from fix where ended_at is not null order by number limit 500)",
];
/// Services of incidents that are gone.
const ORPHANS: &str = "delete from incident_service where id not in (select id from incident)";

/// Drops what is too old or too much; gives the bytes that the file takes.
pub(super) fn prune(db: &mut Connection, keep: &Keep, now: Timestamp) -> Outcome<u64> {
    let before = |span: std::time::Duration| now.0 - i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2);
    let (incidents, looks) = (before(keep.incidents), before(keep.looks));
    let turn = db.transaction()?;
    let old =
        "delete from look where rowid in (select rowid from look where failed = ?1 and at < ?2 limit ?3)";
    turn.execute(old, params![false, looks, AT_ONCE])?;
    turn.execute(old, params![true, incidents, AT_ONCE])?;
    let gone = turn.execute("delete from incident where closed_at < ?1", [incidents])?;
    if gone > 0 {
        turn.execute(ORPHANS, [])?;
    }
    turn.execute("delete from fix where at < ?1", [incidents])?;
    super::samples::prune(&turn, now, AT_ONCE)?;
    turn.commit()?;
    let limit = keep.limit.saturating_sub(super::WAL).max(super::LEAST);
    let mut rounds = 0;
    while used(db)? > limit / 10 * 9 && rounds < 200 && make_room(db) {
        rounds += 1;
    }
    give_back(db)?;
    size(db)
}

/// Drops some of what is worth least. False where nothing is left to drop.
pub(super) fn make_room(db: &Connection) -> bool {
    for sql in FOR_ROOM {
        // Whatever fails here fails again for whoever needs the room, and is told there.
        if db.execute(sql, []).is_ok_and(|gone| gone > 0) {
            if sql.contains("from incident") {
                let _ = db.execute(ORPHANS, []);
            }
            return true;
        }
    }
    false
}

/// Bytes that hold something.
fn used(db: &Connection) -> Outcome<u64> {
    let (pages, free) = (pragma(db, "page_count")?, pragma(db, "freelist_count")?);
    Ok(pages.saturating_sub(free).saturating_mul(super::PAGE))
}

/// Bytes of the file and its log.
fn size(db: &Connection) -> Outcome<u64> {
    let file = pragma(db, "page_count")?.saturating_mul(super::PAGE);
    let log = db
        .path()
        .filter(|path| !path.is_empty())
        .and_then(|path| std::fs::metadata(format!("{path}-wal")).ok());
    Ok(file + log.map_or(0, |log| log.len()))
}

fn pragma(db: &Connection, name: &str) -> Outcome<u64> {
    let value: i64 = db.query_row(&format!("pragma {name}"), [], |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// Free pages go back to the file system, and the log is cut.
fn give_back(db: &Connection) -> Outcome<()> {
    let mut vacuum = db.prepare("pragma incremental_vacuum")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
