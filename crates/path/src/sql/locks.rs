//! Locks as the statement lists them, and what they say of sessions: what a blocker holds, what a waiter wants, which
//! prepared transaction is in the way.

use super::facts::SessionFacts;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// The rows of `pg_locks` that matter; empty where nothing waits and nothing is prepared.
#[derive(Default, Deserialize)]
pub(super) struct Locks {
    /// Locks that are waited for.
    wanted: Vec<Wanted>,
    /// For each blocker the relation lock that matters most.
    held: Vec<Held>,
    /// Who holds advisory locks.
    advisory: HashSet<i32>,
    /// Objects that prepared transactions hold and others want.
    orphaned: Vec<Orphaned>,
}

/// A lock that is waited for. Which parts of it are there follows from `locktype` (manual, "pg_locks").
#[derive(Deserialize)]
struct Wanted {
    pid: Option<i32>,
    mode: String,
    locktype: String,
    relation: Option<String>,
    page: Option<u32>,
    tuple: Option<u16>,
    transactionid: Option<String>,
    object: String,
}

#[derive(Deserialize)]
struct Held {
    pid: i32,
    mode: String,
    relation: String,
}

#[derive(Deserialize)]
struct Orphaned {
    gid: String,
    object: String,
}

impl Wanted {
    /// `AccessShareLock on jobs`, `ShareLock on transaction 731`.
    fn text(&self) -> String {
        let relation = self.relation.as_deref().unwrap_or_default();
        let what = match (self.locktype.as_str(), &self.transactionid, self.page, self.tuple) {
            ("relation", ..) => relation.to_owned(),
            ("transactionid", Some(xid), ..) => format!("transaction {xid}"),
            ("tuple", _, Some(page), Some(tuple)) => format!("row ({page},{tuple}) of {relation}"),
            (kind, ..) if relation.is_empty() => kind.to_owned(),
            (kind, ..) => format!("{kind} of {relation}"),
        };
        format!("{} on {what}", self.mode)
    }
}

impl Locks {
    /// Writes into sessions, waits and prepared transactions what the locks say of them.
    pub(super) fn complete(&self, facts: &mut SessionFacts) {
        let held: HashMap<_, _> = self.held.iter().map(|h| (h.pid, h)).collect();
        for session in &mut facts.sessions {
            session.holds = held.get(&session.pid).map(|h| format!("{} on {}", h.mode, h.relation));
            session.advisory = self.advisory.contains(&session.pid);
        }
        let wanted: HashMap<_, _> = self.wanted.iter().filter_map(|w| Some((w.pid?, w))).collect();
        for wait in &mut facts.waits {
            wait.wants = wanted.get(&wait.pid).map(|w| w.text());
        }
        for wait in facts.waits.iter().filter(|wait| wait.blocked_by.contains(&0)) {
            let object = wanted.get(&wait.pid).map(|w| w.object.as_str());
            let gids: HashSet<_> = self
                .orphaned
                .iter()
                .filter(|o| Some(o.object.as_str()) == object)
                .map(|o| o.gid.as_str())
                .collect();
            for (age, prepared) in facts.prepared.iter_mut().enumerate() {
                // The lock may have changed hands between the two looks: then the oldest is the likeliest.
                let in_the_way =
                    if gids.is_empty() { age == 0 } else { gids.contains(prepared.gid.as_str()) };
                prepared.blocks += u64::from(in_the_way);
            }
        }
    }
}
