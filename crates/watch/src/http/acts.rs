//! What the API needs of others: who acts (the engine), and who remembers (the store). Values and two traits, no HTTP.

use crate::incident::Incident;
use crate::seen::Kind;
use pgmedic_model::{Ms, Status, Timestamp};
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An answer that may take a moment. The API gives it up after [`ANSWER_WITHIN`](super::ANSWER_WITHIN).
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Declined>> + Send + 'a>>;

/// Why something was not done or not told: one line each, without secrets, ending in what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is no such service or incident. 404.
    #[error("{0}")]
    Unknown(String),
    /// It does not fit the state of things: the incident is closed, the remedy is none of it, another is in hand. 409.
    #[error("{0}")]
    Conflict(String),
    /// What was asked for is refused as it stands: a bad configuration on reload, a gate that is closed. 422.
    #[error("{0}")]
    Refused(String),
    /// Not now: the daemon ends, the store is locked. 503.
    #[error("{0}")]
    NotNow(String),
}

/// For what a pause or its end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every service, `*` on the board.
    All,
    /// One service. The API has seen that it is on the board.
    Service(String),
}

/// A person's yes to a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The incident's id.
    pub incident: String,
    /// For which of its services. None is the one that it was opened for.
    pub service: Option<String>,
    /// The remedy's id.
    pub remedy: String,
    /// Who says so: a name as the caller gave it, else `api`. At most 100 characters, none of them control characters.
    pub by: String,
}

/// What acts.
pub trait Acts: Send + Sync {
    /// Begins an approved remedy. Answers as soon as it is begun or refused, with one line on which; how it ends stands in the
    /// incident's actions.
    fn approve(&self, approval: Approval) -> Answer<'_, String>;

    /// Nothing is done by itself from now on, until a time or for good. Takes effect before it answers.
    fn pause(&self, scope: Scope, until: Option<Timestamp>, by: String) -> Answer<'_, String>;

    /// Ends a pause.
    fn resume(&self, scope: Scope, by: String) -> Answer<'_, String>;

    /// Reads the configuration anew. A bad one is [`Declined::Refused`] with what is wrong with it.
    fn reload(&self, by: String) -> Answer<'_, String>;
}

/// Which incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that last (`Some(true)`) or that are over (`Some(false)`).
    pub open: Option<bool>,
    /// Only those that have or had this service.
    pub service: Option<String>,
    /// At most so many, the latest opened first. The API sets it, 1 to 1000.
    pub limit: usize,
}

/// One look or walk as history keeps it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Looked {
    /// When it was begun.
    pub at: Timestamp,
    /// `look` or `walk`.
    pub kind: Kind,
    /// The verdict.
    pub status: Status,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// How long after its due time it was begun.
    pub lag_ms: Ms,
    /// Ids of the root causes.
    pub roots: Vec<String>,
}

/// What remembers.
pub trait History: Send + Sync {
    /// Incidents, the latest opened first; those that last among them.
    fn incidents(&self, filter: Filter) -> Answer<'_, Vec<Arc<Incident>>>;

    /// One incident, open or over. None where there is none of that id.
    fn incident(&self, id: &str) -> Answer<'_, Option<Arc<Incident>>>;

    /// Looks and walks of a service since a time, the latest first, at most `limit`.
    fn looks(&self, service: &str, since: Timestamp, limit: usize) -> Answer<'_, Vec<Looked>>;
}
