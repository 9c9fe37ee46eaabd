//! What goes into a store and comes out of it. Values only.

use crate::incident::{Change, Incident};
use crate::seen::Kind;
use pgmedic_model::{Ms, Status, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Which receiver, by a name that stays the same over a restart and holds no secret.
    pub to: String,
    /// Of what.
    pub change: Change,
}

/// One message in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its number; below 0 for one that the store has not taken yet.
    pub number: i64,
    /// Which receiver.
    pub to: String,
    /// Of what.
    pub change: Change,
    /// The incident as it was then, without its report.
    pub incident: Arc<Incident>,
    /// When it was put in.
    pub at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
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

/// Nothing is done by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// For which service; `*` for all.
    pub service: String,
    /// Who wanted it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when. None until it is taken back.
    pub until: Option<Timestamp>,
}

/// One look as history keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Which service.
    pub service: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How.
    pub kind: Kind,
    /// The verdict.
    pub status: Status,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// The root causes.
    pub causes: Vec<String>,
    /// The first of them in one line.
    pub summary: String,
}

/// Which incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this service, though it be one of many.
    pub service: Option<String>,
    /// Only those of this cause.
    pub cause: Option<String>,
    /// Only open ones (true) or closed ones (false).
    pub open: Option<bool>,
    /// Only those opened before this time: for the next page.
    pub before: Option<Timestamp>,
    /// The most; 0 stands for 100. Never more than 1000.
    pub limit: usize,
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

/// What is to be gone on with after a restart.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Incidents that are open, and those closed lately.
    pub incidents: Vec<Incident>,
    /// Pauses that hold.
    pub pauses: Vec<Pause>,
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
    /// It is closed.
    #[error("the store is closed")]
    Closed,
}
