//! What an entry says: a change of an incident, and the labels by which an Alertmanager knows it. What of an update is
//! worth a person's look is decided in here as well. Not in here: how a receiver wants it written.

use crate::incident::{Change, Incident};
use pgmedic_model::{Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of an alert. They are its identity.
pub(crate) type Labels = BTreeMap<String, String>;

/// A change of an incident, as one receiver is to be told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// The same for every attempt at telling this, and for nothing else: what makes repeats harmless.
    pub(crate) event: String,
    /// What became of it, for this receiver: one that wants only critical incidents hears of one that rose as opened.
    pub(crate) change: Change,
    /// The incident, without the report.
    pub(crate) incident: Incident,
    /// Its labels, fixed when it was opened, and anew when its severity rose.
    pub(crate) labels: Labels,
    /// The labels that it had before its severity rose, and when that was: that alert is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outgrown: Option<(Labels, Timestamp)>,
}

impl Letter {
    /// The event's id: once for each change of an incident.
    pub(crate) fn event(change: Change, incident: &Incident) -> String {
        let change = word(change);
        format!("{}.{change}.{}", incident.id, incident.updated_at.0)
    }

    /// True where nothing is to be kept firing.
    pub(crate) fn is_last(&self) -> bool {
        self.change == Change::Closed
    }
}

/// A change in a word.
pub(crate) const fn word(change: Change) -> &'static str {
    match change {
        Change::Opened => "opened",
        Change::Updated => "updated",
        Change::Closed => "closed",
    }
}

/// What is remembered of an open incident, to tell what an update changed.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    severity: Severity,
    cause: String,
    escalated: bool,
    acts: usize,
    /// The services that it has or had.
    pub(crate) services: Vec<String>,
    /// Its labels in Alertmanagers.
    pub(crate) labels: Labels,
    /// See [`Letter::outgrown`].
    pub(crate) outgrown: Option<(Labels, Timestamp)>,
}

/// How much an update matters to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Words or figures: machines are told.
    Detail,
    /// Something was done, and ended: a channel is told.
    Progress,
    /// It is worse, something else than was thought, or a person is needed: everybody is told.
    Turn,
}

impl Known {
    /// What is known of an incident that was just told.
    pub(crate) fn of(incident: &Incident, labels: Labels, outgrown: Option<(Labels, Timestamp)>) -> Self {
        Self {
            severity: incident.severity,
            cause: incident.cause.clone(),
            escalated: incident.escalated,
            acts: done(incident),
            services: incident.services.keys().cloned().collect(),
            labels,
            outgrown,
        }
    }

    /// How bad it was.
    pub(crate) const fn severity(&self) -> Severity {
        self.severity
    }

    /// How much it matters what the incident is now.
    pub(crate) fn weight(&self, now: &Incident) -> Weight {
        if now.severity > self.severity || now.cause != self.cause || (now.escalated && !self.escalated) {
            Weight::Turn
        } else if done(now) > self.acts {
            Weight::Progress
        } else {
            Weight::Detail
        }
    }
}

/// Actions that came to an end.
fn done(incident: &Incident) -> usize {
    incident.actions.iter().filter(|act| act.outcome.is_some()).count()
}
