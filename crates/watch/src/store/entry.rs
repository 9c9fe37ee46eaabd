//! What goes into a store and comes out of it. Values only.

use crate::alerts::Entry;
use crate::incident::Incident;

/// What became of an incident that was put.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// It is on disk, with its alerts: this watcher tells of it.
    Kept,
    /// The store has not taken it yet, and will when it can: this watcher tells of it, rather than nobody.
    Late,
    /// Another watcher that shares the store speaks for this service, and tells of it. Nothing was kept. Where it has the
    /// incident already, here it is: for [`crate::incidents::Incidents::adopt`].
    Elsewhere(Option<Box<Incident>>),
    /// This watcher has come to speak for the service, of which another one had opened this incident already. Nothing was
    /// kept: to be adopted, and put again.
    Adopt(Box<Incident>),
}

/// A fix that is about to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// For which service.
    pub service: String,
    /// For which incident.
    pub incident: String,
    /// Nobody was asked.
    pub automatic: bool,
    /// Who wanted it: `policy`, or the name that approved it.
    pub by: String,
}

/// An incident that was asked for by its id or the beginning of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// None.
    Nothing,
    /// This one.
    One(Box<Incident>),
    /// Several begin so: their ids, at most ten.
    Several(Vec<String>),
}

/// What this watcher has to go on with, since another one that shared the store is gone.
#[derive(Clone, Debug, Default)]
pub struct TakenOver {
    /// Services that it speaks for now: their open incidents are to be put.
    pub services: Vec<String>,
    /// Alerts that the other one had not delivered: to be taken by [`crate::alerts::Alerts::take`].
    pub entries: Vec<Entry>,
    /// Incidents that the other one left open: to be gone on with, or proved over.
    pub incidents: Vec<Incident>,
    /// Incidents that were put too late to be answered ([`Put::Late`]) and turned out to be another watcher's, each with the
    /// id that it had here: for [`crate::incidents::Incidents::adopt`].
    pub others: Vec<(String, Box<Incident>)>,
    /// What the store has to say to a person: a broken file that was set aside, a Postgres that is not reached.
    pub said: Vec<String>,
}

/// What is to be gone on with after a restart.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Incidents that are open, and those closed lately.
    pub incidents: Vec<Incident>,
    /// What was said while it was opened: a broken file that was set aside.
    pub said: Vec<String>,
}

/// Why a store does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be made, opened or set aside.
    #[error("the store {path} cannot be kept: {why}; `store` in [watch] names another place")]
    File {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// The disk does not take it: full, read-only, or broken. Watching goes on without it.
    #[error("the store {path} cannot be had: {why}")]
    Disk {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// Another watcher has it.
    #[error(
        "the store {path} is another watcher's: each needs a file of its own, or both a Postgres that they share"
    )]
    Busy {
        /// The file.
        path: String,
    },
    /// It could not do this now.
    #[error("the store at {place} could not {what}: {why}")]
    Failed {
        /// Where.
        place: String,
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// It did not answer in time.
    #[error("the store did not answer in time: it is tried again")]
    Late,
    /// It is closed.
    #[error("the store is closed")]
    Closed,
}
