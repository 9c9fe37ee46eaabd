//! What a fix planned, did and came to: `pgmedic.fix/1`. Values only.

use crate::{Action, Ms, RemedyKind, Report, Timestamp};
use serde::{Deserialize, Serialize};

/// A remedy that is to be applied, with what it takes and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// The remedy's id.
    pub remedy: String,
    /// Its kind.
    pub kind: RemedyKind,
    /// The cause that it mends.
    pub cause: String,
    /// Whom it acts on.
    pub target: String,
    /// What it does, in one sentence with numbers.
    pub plan: String,
    /// Who is touched by it, in words and numbers.
    pub radius: String,
    /// How many sessions it ends at the most; None where it is not known.
    #[serde(default)]
    pub radius_sessions: Option<u64>,
    /// What must hold at the moment of acting; looked at again in the same statement or call where that can be.
    pub precondition: String,
    /// What proves that it worked.
    pub verification: String,
    /// What happens where it fails.
    pub on_failure: String,
    /// What takes it back. None where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// The same by hand, to paste.
    pub command: String,
    /// What it does, exactly. None where only a person may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Whether it may be applied, and why not.
    pub permit: Permit,
}

/// Whether a step may be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "may", content = "why", rename_all = "kebab-case")]
pub enum Permit {
    /// It may.
    Yes,
    /// Only a person may: pgmedic cannot judge it, or has no way to do it.
    Person(String),
    /// Its kind is not allowed.
    NotAllowed(String),
    /// A gate is closed, or what it needs is not seen to hold.
    Closed(String),
    /// It has been done for this incident already.
    Done(String),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// It was done.
    Applied,
    /// It was not begun: it may not be, or whoever had to do it said no. Nothing has changed.
    Refused,
    /// It was begun and did not come to its end, or nobody knows whether it did.
    Failed,
    /// What it was for had gone away.
    NotNeeded,
}

/// A session that a step looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOutcome {
    /// `pid`.
    pub pid: i32,
    /// `backend_start`.
    pub backend_start: String,
    /// `application_name`.
    pub application_name: String,
    /// `usename`.
    pub usename: String,
    /// `state`, as it was seen.
    pub state: String,
    /// It is gone: seen so afterwards, not believed of the signal. For a cancelled one: it runs that statement no more.
    pub terminated: bool,
}

/// A step that was begun or decided on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixStep {
    /// The remedy's id.
    pub remedy: String,
    /// Its kind.
    pub kind: RemedyKind,
    /// The cause that it was to mend.
    pub cause: String,
    /// Whom it acted on.
    pub target: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was said and seen, in one line.
    pub detail: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How long it took, until the look that proved it or not.
    pub elapsed_ms: Ms,
    /// The sessions that were chosen, with what became of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionOutcome>,
    /// What the platform knows the requests by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_ids: Vec<String>,
    /// What takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// The document of `pgmedic fix --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixReport {
    /// `pgmedic.fix/1`.
    pub schema: String,
    /// The service.
    pub service: String,
    /// When the fix began.
    pub started_at: Timestamp,
    /// The walk before.
    pub before: Report,
    /// What was planned on it.
    pub plan: Vec<PlanStep>,
    /// What was done, in order.
    pub steps: Vec<FixStep>,
    /// The last walk. None where nothing was done.
    pub after: Option<Report>,
    /// The service was well at the end, and proved so.
    pub recovered: bool,
    /// From the beginning to the first walk that found the service well. None where none did, or it was well from the start.
    #[serde(default)]
    pub recovered_after_ms: Option<Ms>,
    /// For how long it was then seen to stay well.
    #[serde(default)]
    pub stable_ms: Option<Ms>,
    /// The verdict in one line.
    pub summary: String,
    /// From the beginning to the end.
    pub elapsed_ms: Ms,
    /// The incident's id in the record. None where nothing was written (`--plan`, or nothing to mend).
    pub incident: Option<String>,
}

impl FixReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "pgmedic.fix/1";
}
