//! An incident as the daemon keeps it: one for each root cause and service, or for one root in many services at once. A value;
//! what opens, updates and closes it is `incidents`, where it is kept `store`, who is told `alerts`.

use pgmedic_model::{
    Confidence, Fact, RemedyKind, RemedyPlan, Report, Room, Severity, StepOutcome, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// `pgmedic.incident/1`.
    pub schema: String,
    /// Its id: when it was opened and for whom, and what tells it from others of that second:
    /// `20261126T031209-renderflow-5c1e`.
    pub id: String,
    /// The root cause's id, as it is named now. The name may change while the trouble lasts (`causes`); who needs a name that
    /// does not takes [`Incident::first_cause`].
    pub cause: String,
    /// The names that the root had, oldest first, the present one among them, at most [`Incident::CAUSES`].
    #[serde(default)]
    pub causes: Vec<Named>,
    /// The cause's room.
    pub room: Room,
    /// How bad it is, at its worst.
    pub severity: Severity,
    /// How sure the diagnosis is, at its surest.
    pub confidence: Confidence,
    /// The root finding in one line, as it is now.
    pub summary: String,
    /// The service that it was opened for. It names the alert for as long as the incident lasts.
    pub service: String,
    /// Every service that has or had it, the one it was opened for among them.
    pub services: BTreeMap<String, Affected>,
    /// What many services share, where the incident is of many: `resolver 10.0.0.2`, `host db-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What it may have in common with other services, from its evidence, for finding them: `resolver 10.0.0.2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last came back, where it did. Evidence from before it is not this incident's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
    /// When something of it last changed.
    pub updated_at: Timestamp,
    /// When it was closed on proof. None while it lasts.
    pub closed_at: Option<Timestamp>,
    /// What proved that it was over. None while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// How often it came back after it had seemed to be over.
    pub flaps: u64,
    /// What proved it when it was opened, at most [`Incident::FACTS`].
    pub evidence: Vec<Fact>,
    /// What would mend it, as of the last look.
    pub remedies: Vec<RemedyPlan>,
    /// What was done about it, oldest first, at most [`Incident::ACTIONS`].
    pub actions: Vec<Act>,
    /// Why nothing is done by itself, where that is so: paused, not allowed, a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Fixes that were begun for it and did not make the service well.
    #[serde(default)]
    pub failed_fixes: u32,
    /// The automatic remedies failed twice: a person is needed.
    #[serde(default)]
    pub escalated: bool,
    /// The report that opened it.
    pub report: Option<Box<Report>>,
}

impl Incident {
    /// The schema's name.
    pub const SCHEMA: &'static str = "pgmedic.incident/1";
    /// The most facts that are kept of one.
    pub const FACTS: usize = 20;
    /// The most actions that are kept of one; the record has them all.
    pub const ACTIONS: usize = 50;
    /// The most services that are kept of one by name.
    pub const SERVICES: usize = 2000;
    /// The most names of its root that are kept: the first, and the latest.
    pub const CAUSES: usize = 20;

    /// True while it lasts.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// The root cause's id as it was named when the incident was opened: it stays for as long as the incident lasts.
    #[must_use]
    pub fn first_cause(&self) -> &str {
        self.causes.first().map_or(&self.cause, |named| &named.cause)
    }

    /// Since when its evidence counts: when it was opened, or last came back.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.back_at.unwrap_or(self.opened_at)
    }
}

/// One name that a root had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// The cause's id.
    pub cause: String,
    /// Since when.
    pub at: Timestamp,
    /// The finding in one line, as it was then.
    pub summary: String,
}

/// One service's share of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// Since when.
    pub since: Timestamp,
    /// When it was well again. None while it is not.
    pub until: Option<Timestamp>,
    /// Its own finding in one line.
    pub summary: String,
    /// Its own root cause's id, as it is named now.
    #[serde(default)]
    pub cause: String,
}

/// One thing that was done, with its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// For which service.
    pub service: String,
    /// When it was begun.
    pub at: Timestamp,
    /// The remedy's id.
    pub remedy: String,
    /// Its kind.
    pub kind: RemedyKind,
    /// Whom it acted on.
    pub target: String,
    /// How it ended. None while it is in hand.
    pub outcome: Option<StepOutcome>,
    /// What was said and seen.
    pub detail: String,
    /// The incident's id in the record of `pgmedic fix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Who wanted it: `policy`, or the name that approved it.
    pub by: String,
}

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was opened.
    Opened,
    /// Something of it changed: a service more, another summary, a flap, an action.
    Updated,
    /// It was closed, on proof.
    Closed,
}
