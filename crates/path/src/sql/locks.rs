//! Rows of `pg_locks`, and what they say of sessions: what a blocker holds, what a waiter wants, which prepared
//! transaction is in the way.

use super::composite::{Columns, ReadError};
use super::facts::SessionFacts;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// A row of `pg_lock_status()`. Which columns are not NULL follows from `locktype` (manual, "pg_locks"), so that
/// `object`, all of them in one text, is one name for one thing.
pub(super) struct LockRow {
    /// None for a prepared transaction.
    pid: Option<i32>,
    mode: String,
    granted: bool,
    locktype: String,
    page: Option<u32>,
    tuple: Option<u16>,
    transactionid: Option<String>,
    virtualtransaction: String,
    relation: Option<String>,
    object: String,
}

/// Weakest first (manual, "Table-Level Locks").
const MODES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

impl LockRow {
    pub(super) fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            pid: c.number()?,
            mode: c.never_null(Columns::text)?,
            granted: c.never_null(Columns::boolean)?,
            locktype: c.never_null(Columns::text)?,
            page: c.number()?,
            tuple: c.number()?,
            transactionid: c.text()?,
            virtualtransaction: c.never_null(Columns::text)?,
            relation: c.text()?,
            object: c.never_null(Columns::text)?,
        })
    }

    /// `AccessShareLock on jobs`, `ShareLock on transaction 731`.
    fn text(&self) -> String {
        let what = match (&self.relation, &self.transactionid, self.page, self.tuple) {
            (Some(relation), _, Some(page), Some(tuple)) => format!("row ({page},{tuple}) of {relation}"),
            (Some(relation), ..) if self.locktype == "relation" => relation.clone(),
            (Some(relation), ..) => format!("{} of {relation}", self.locktype),
            (None, Some(xid), ..) => format!("transaction {xid}"),
            _ => self.locktype.clone(),
        };
        format!("{} on {what}", self.mode)
    }

    fn strength(&self) -> Option<usize> {
        MODES.iter().position(|mode| *mode == self.mode)
    }
}

/// Writes into sessions, waits and prepared transactions what the locks say of them. `xids` are the ids of the
/// prepared transactions, in their order.
pub(super) fn complete(facts: &mut SessionFacts, locks: &[LockRow], xids: &[String]) {
    let wanted: HashMap<i32, &LockRow> =
        locks.iter().filter(|lock| !lock.granted).filter_map(|lock| Some((lock.pid?, lock))).collect();
    for wait in &mut facts.waits {
        wait.wants = wanted.get(&wait.pid).map(|lock| lock.text());
    }
    let held = held(locks);
    let advisory: HashSet<i32> =
        locks.iter().filter(|l| l.granted && l.locktype == "advisory").filter_map(|l| l.pid).collect();
    let blockers: HashSet<i32> =
        facts.waits.iter().flat_map(|wait| wait.blocked_by.iter().copied()).collect();
    for session in &mut facts.sessions {
        let lock = held.get(&session.pid).filter(|_| blockers.contains(&session.pid));
        session.holds = lock.map(|lock| lock.text());
        session.advisory = advisory.contains(&session.pid);
    }
    blame(facts, locks, &wanted, xids);
}

/// For each session the relation lock that matters most: on what others wait for, then the strongest, then of the lowest
/// oid, which is a table's rather than its index's. SIReadLock hinders nobody.
fn held(locks: &[LockRow]) -> HashMap<i32, &LockRow> {
    let wanted: HashSet<&str> = locks.iter().filter(|l| !l.granted).map(|l| l.object.as_str()).collect();
    let rank = |lock: &LockRow| {
        let oid = lock.object.rsplit('/').next().and_then(|oid| oid.parse::<u32>().ok());
        (wanted.contains(lock.object.as_str()), lock.strength(), Reverse(oid))
    };
    let mut held: HashMap<i32, &LockRow> = HashMap::new();
    for lock in
        locks.iter().filter(|lock| lock.granted && lock.locktype == "relation" && lock.strength().is_some())
    {
        if let Some(pid) = lock.pid {
            let best = held.entry(pid).or_insert(lock);
            if rank(lock) > rank(best) {
                *best = lock;
            }
        }
    }
    held
}

/// Counts for each prepared transaction the sessions that wait for a lock of it. Its locks have no pid; they are known
/// by their virtualtransaction, which is that of the backend that prepared it, or `-1/xid` after a restart
/// (`MarkAsPreparingGuts`), and which the lock on its own transaction id tells.
fn blame(facts: &mut SessionFacts, locks: &[LockRow], wanted: &HashMap<i32, &LockRow>, xids: &[String]) {
    let orphaned = || locks.iter().filter(|lock| lock.pid.is_none() && lock.granted);
    let owner: HashMap<&str, usize> = orphaned()
        .filter_map(|lock| {
            let place = xids.iter().position(|xid| lock.transactionid.as_ref() == Some(xid))?;
            Some((lock.virtualtransaction.as_str(), place))
        })
        .collect();
    for wait in facts.waits.iter().filter(|wait| wait.blocked_by.contains(&0)) {
        let object = wanted.get(&wait.pid).map(|lock| lock.object.as_str());
        let mut places: HashSet<usize> = orphaned()
            .filter(|lock| Some(lock.object.as_str()) == object)
            .filter_map(|lock| owner.get(lock.virtualtransaction.as_str()).copied())
            .collect();
        if places.is_empty() {
            // The lock changed hands between the two looks, or is beyond the rows looked at: the oldest is likeliest.
            places.insert(0);
        }
        for (place, prepared) in facts.prepared.iter_mut().enumerate() {
            prepared.blocks += u64::from(places.contains(&place));
        }
    }
}
