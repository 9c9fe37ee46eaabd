//! An incident that is known, and what of it is still to be said: at once, soon, or some time. Pure.

use super::Verdict;
use super::shifted::{self, moved};
use crate::incident::{Change, Incident, Named};
use pgmedic_model::{Finding, Ms, Report, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// From one note of a number to the next, in ms.
const NOTES: i64 = 30_000;
/// From one update to the next, in ms; doubled with each.
const UPDATES: i64 = 1000;
/// How often that is doubled: to 64 s.
const DOUBLED: u32 = 6;
/// An incident that was quiet for this long is told of as soon as a new one, in ms.
const QUIET: i64 = 300_000;
/// From one change of name to the next, in ms; doubled with each, at most [`QUIET`].
const RENAMES: i64 = 10_000;

/// How soon something is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Some time: only to the store.
    Note,
    /// Soon.
    Update,
    /// At once.
    AtOnce,
}

/// One incident.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) incident: Arc<Incident>,
    /// The latest report with its root: summary and remedies are taken from it when it is told of, not at each look.
    latest: Option<Arc<Report>>,
    owed: Option<Weight>,
    said_at: Timestamp,
    /// Updates that followed on each other.
    said: u32,
    renamed_at: Option<Timestamp>,
    renamed: u32,
    flapped_at: Option<Timestamp>,
}

impl Known {
    pub(super) fn new(incident: Incident, now: Timestamp) -> Self {
        Self {
            incident: Arc::new(incident),
            latest: None,
            owed: None,
            said_at: now,
            said: 0,
            renamed_at: None,
            renamed: 0,
            flapped_at: None,
        }
    }

    /// The clock was set by so much.
    pub(super) fn shift(&mut self, by: Ms) {
        self.said_at = self.said_at.plus(by);
        moved(&mut self.renamed_at, by);
        moved(&mut self.flapped_at, by);
        shifted::incident(self.edit(), by);
    }

    /// The incident, to be changed.
    pub(super) fn edit(&mut self) -> &mut Incident {
        Arc::make_mut(&mut self.incident)
    }

    /// Something small is to be said of it, with the next that is said.
    pub(super) fn owe(&mut self) {
        self.owed = self.owed.max(Some(Weight::Note));
    }

    /// Something is to be said of it.
    pub(super) fn say(&mut self, weight: Weight, now: Timestamp, out: &mut Vec<Verdict>) {
        self.owed = self.owed.max(Some(weight));
        self.say_what_is_owed(now, out);
    }

    /// Says what is owed, where it is time.
    pub(super) fn say_what_is_owed(&mut self, now: Timestamp, out: &mut Vec<Verdict>) {
        let Some(weight) = self.owed else { return };
        let quiet = now.0 - self.said_at.0;
        if quiet > QUIET {
            self.said = 0;
        }
        let gap = match weight {
            Weight::Note => NOTES,
            Weight::Update => UPDATES << self.said.min(DOUBLED),
            Weight::AtOnce => 0,
        };
        // A clock that was set back holds nothing up.
        if (0..gap).contains(&quiet) {
            return;
        }
        // Of one that is over nobody is told more: an Alertmanager would take it that it fires again.
        if weight > Weight::Note && self.incident.is_open() {
            self.said = self.said.saturating_add(1);
            self.told(Change::Updated, now, out);
        } else {
            let incident = self.as_of(now);
            out.push(Verdict::Noted(incident));
        }
    }

    /// Says that it changed so.
    pub(super) fn told(&mut self, change: Change, now: Timestamp, out: &mut Vec<Verdict>) {
        let incident = self.as_of(now);
        out.push(Verdict::Changed(change, incident));
    }

    fn as_of(&mut self, now: Timestamp) -> Arc<Incident> {
        let latest = self.latest.take();
        (self.owed, self.said_at) = (None, now);
        let incident = self.edit();
        incident.updated_at = now;
        let root = latest.as_ref().and_then(|report| report.roots().find(|f| f.cause == incident.cause));
        if let Some(root) = root {
            incident.summary.clone_from(&root.summary);
            incident.remedies.clone_from(&root.remedies);
        }
        Arc::clone(&self.incident)
    }

    /// Its root was found again.
    pub(super) fn found(
        &mut self,
        report: &Arc<Report>,
        finding: &Finding,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        self.latest = Some(Arc::clone(report));
        let before = &self.incident;
        let weight = if finding.severity > before.severity {
            Weight::AtOnce
        } else if finding.confidence > before.confidence || !alike(&before.summary, &finding.summary) {
            Weight::Update
        } else if before.summary != finding.summary {
            Weight::Note
        } else {
            return;
        };
        if finding.severity > before.severity || finding.confidence > before.confidence {
            let incident = self.edit();
            incident.severity = incident.severity.max(finding.severity);
            incident.confidence = incident.confidence.max(finding.confidence);
        }
        self.say(weight, now, out);
    }

    /// It came back. Many services that come back together are one flap. True where it counted.
    pub(super) fn flapped(&mut self, at: Timestamp, stable: i64) -> bool {
        if self.flapped_at.is_some_and(|before| (0..stable).contains(&(at.0 - before.0))) {
            return false;
        }
        self.flapped_at = Some(at);
        let incident = self.edit();
        incident.flaps = incident.flaps.saturating_add(1);
        incident.back_at = Some(at);
        true
    }

    /// For how long it must be well before it is closed, in ms.
    pub(super) fn hold(&self, stable: Duration, most: Duration) -> i64 {
        let stable = ms(stable);
        let doubled = stable.saturating_mul(1 << self.incident.flaps.min(16));
        doubled.min(ms(most).max(stable))
    }

    /// True where its name may change now.
    pub(super) fn may_be_renamed(&self, now: Timestamp) -> bool {
        let gap = (RENAMES << self.renamed.min(5)).min(QUIET);
        self.renamed_at.is_none_or(|at| now.0 - at.0 >= gap)
    }

    /// Gives it another name.
    pub(super) fn rename(&mut self, finding: &Finding, at: Timestamp, now: Timestamp) {
        (self.renamed_at, self.renamed) = (Some(now), self.renamed.saturating_add(1));
        let incident = self.edit();
        incident.cause.clone_from(&finding.cause);
        incident.room = finding.room;
        incident.severity = incident.severity.max(finding.severity);
        incident.confidence = finding.confidence;
        incident.summary.clone_from(&finding.summary);
        incident.remedies.clone_from(&finding.remedies);
        incident.causes.push(named(finding, at));
        if incident.causes.len() > Incident::CAUSES {
            incident.causes.remove(1);
        }
    }
}

/// A root by its name.
pub(super) fn named(finding: &Finding, at: Timestamp) -> Named {
    Named { cause: finding.cause.clone(), at, summary: finding.summary.clone() }
}

/// What this watcher knows of an incident that another one had opened first.
pub(super) fn adopted(mine: &Incident, mut other: Incident) -> Incident {
    other.severity = other.severity.max(mine.severity);
    other.confidence = other.confidence.max(mine.confidence);
    other.summary.clone_from(&mine.summary);
    other.remedies.clone_from(&mine.remedies);
    other.flaps = other.flaps.max(mine.flaps);
    other.back_at = other.back_at.max(mine.back_at);
    if other.cause != mine.cause {
        other.cause.clone_from(&mine.cause);
        other.room = mine.room;
        other.causes.extend(mine.causes.last().cloned());
    }
    (other.closed_at, other.proof) = (mine.closed_at, mine.proof.clone());
    // Who is ill now is what this watcher sees; whom the other one knew besides is over as far as anybody sees.
    for (service, affected) in &mut other.services {
        if !mine.services.contains_key(service) {
            affected.until = affected.until.or(Some(mine.updated_at));
        }
    }
    for (service, affected) in &mine.services {
        let since = other.services.get(service).map_or(affected.since, |a| a.since.min(affected.since));
        other.services.insert(service.clone(), crate::incident::Affected { since, ..affected.clone() });
    }
    other.shared = mine.shared.clone().or(other.shared);
    other.places.clone_from(&mine.places);
    other
}

/// True where two lines say the same but for their numbers.
pub(super) fn alike(one: &str, other: &str) -> bool {
    let skeleton = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let c = if c.is_ascii_digit() { '0' } else { c };
            // A number with another count of digits, or of decimals, is a number.
            let again = out.ends_with('0') && (c == '0' || c == '.' || c == ',');
            if !again {
                out.push(c);
            }
        }
        out
    };
    one == other || skeleton(one) == skeleton(other)
}

/// A span in whole ms.
pub(super) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}
