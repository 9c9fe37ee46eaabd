//! What the entries amount to: incidents with their steps, and what of them stands in the way of doing something again.
//! Pure. Not in here: files (`journal`).

use super::{Entry, Event};
use pgmedic_model::{Action, RemedyKind, Report, SessionOutcome, StepOutcome, Timestamp};
use serde::Serialize;

/// An incident that was touched within this time and has a root cause in common is the same one, in ms.
const SAME: i64 = 600_000;
/// The same, where it was never closed: its fix was cut off, in ms.
const SAME_OPEN: i64 = 3_600_000;
/// Sessions that are back within this time were re-opened by their pool: ending them again is of no use, in ms.
const BACK: i64 = 60_000;

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// The service.
    pub service: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The last that is known of it.
    pub last_at: Timestamp,
    /// Its root causes, of all its walks.
    pub causes: Vec<String>,
    /// The walk that opened it.
    pub before: Option<Report>,
    /// What was done.
    pub steps: Vec<Step>,
    /// The last walk, where it was closed.
    pub after: Option<Report>,
    /// True where it was closed on proof. None where it is open, or was left.
    pub recovered: Option<bool>,
    /// The verdict.
    pub summary: String,
}

/// One intent with its outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// When it was intended.
    pub at: Timestamp,
    /// When its outcome was known.
    pub ended_at: Option<Timestamp>,
    /// The remedy's id.
    pub remedy: String,
    /// Its kind.
    pub kind: RemedyKind,
    /// The cause.
    pub cause: String,
    /// Whom it acted on.
    pub target: String,
    /// The one instance or volume.
    pub on: Option<String>,
    /// What it did.
    pub action: Action,
    /// How it ended; None where that is not known.
    pub outcome: Option<StepOutcome>,
    /// What was said and seen.
    pub detail: String,
    /// Its sessions.
    pub sessions: Vec<SessionOutcome>,
    /// What the platform knows the requests by.
    pub request_ids: Vec<String>,
    /// What takes it back.
    pub undo: Option<String>,
    /// It was found without an outcome by a later start.
    pub interrupted: bool,
}

impl Step {
    /// True where it may have been done: anything but a refusal, and what was not needed.
    #[must_use]
    pub const fn may_be_done(&self) -> bool {
        !matches!(self.outcome, Some(StepOutcome::Refused | StepOutcome::NotNeeded))
    }
}

/// The incidents that the entries tell of, oldest first.
#[must_use]
pub fn incidents(entries: &[Entry]) -> Vec<Incident> {
    let mut list: Vec<Incident> = Vec::new();
    for entry in entries {
        let at = list.iter().rposition(|i| i.id == entry.incident && i.service == entry.service);
        let incident = match at {
            Some(at) => &mut list[at],
            None => {
                list.push(begun(entry));
                let last = list.len() - 1;
                &mut list[last]
            }
        };
        incident.last_at = entry.at;
        take(incident, entry);
    }
    list
}

fn begun(entry: &Entry) -> Incident {
    Incident {
        id: entry.incident.clone(),
        service: entry.service.clone(),
        opened_at: entry.at,
        last_at: entry.at,
        causes: Vec::new(),
        before: None,
        steps: Vec::new(),
        after: None,
        recovered: None,
        summary: "open".to_owned(),
    }
}

fn take(incident: &mut Incident, entry: &Entry) {
    match entry.event.clone() {
        Event::Opened { causes, report } | Event::Resumed { causes, report } => {
            for cause in causes {
                if !incident.causes.contains(&cause) {
                    incident.causes.push(cause);
                }
            }
            incident.before.get_or_insert(*report);
            (incident.recovered, incident.summary) = (None, "open".to_owned());
        }
        // A journal that was put aside and the one in its place both tell of it.
        Event::Intent { step, .. } if incident.steps.iter().any(|s| s.step == step) => {}
        Event::Intent { step, remedy, kind, cause, target, action, on } => incident.steps.push(Step {
            step,
            at: entry.at,
            ended_at: None,
            remedy,
            kind,
            cause,
            target,
            on,
            action,
            outcome: None,
            detail: "begun; its outcome is not known".to_owned(),
            sessions: Vec::new(),
            request_ids: Vec::new(),
            undo: None,
            interrupted: false,
        }),
        Event::Outcome { step, outcome, detail, sessions, request_ids, undo } => {
            if let Some(found) = incident.steps.iter_mut().rfind(|s| s.step == step) {
                found.ended_at = Some(entry.at);
                (found.outcome, found.detail) = (Some(outcome), detail);
                (found.sessions, found.request_ids, found.undo) = (sessions, request_ids, undo);
            }
        }
        Event::Interrupted { step, detail } => {
            if let Some(found) = incident.steps.iter_mut().rfind(|s| s.step == step) {
                (found.interrupted, found.detail) = (true, detail);
            }
        }
        Event::Left { summary } => incident.summary = summary,
        Event::Closed { recovered, summary, report } => {
            (incident.recovered, incident.summary, incident.after) =
                (Some(recovered), summary, Some(*report));
        }
    }
}

/// The incident that goes on with these root causes: the last one, where it has one of them, or did not end well, and is
/// recent enough. The root of a service that is still ill may be called by another name when it is looked at again.
#[must_use]
pub fn same<'i>(list: &'i [Incident], causes: &[String], now: Timestamp) -> Option<&'i Incident> {
    let last = list.last()?;
    let (age, shares) = (now.0 - last.last_at.0, causes.iter().any(|c| last.causes.contains(c)));
    let goes_on = match last.recovered {
        None => age <= SAME_OPEN,
        Some(recovered) => (shares || !recovered) && age <= SAME,
    };
    goes_on.then_some(last)
}

/// What must not be done again in this incident: remedy and target; None for whatever the target. Sessions are told apart by
/// their identity, so ending others of them is another act; but those that are back within a minute were re-opened.
#[must_use]
pub fn done(incident: &Incident, now: Timestamp) -> Vec<(String, Option<String>)> {
    let of_sessions = |s: &Step| !s.action.sessions().is_empty();
    let steps = incident.steps.iter().filter(|s| s.may_be_done());
    let barred = steps.filter(|s| !of_sessions(s) || now.0 - s.ended_at.unwrap_or(s.at).0 <= BACK);
    // A remedy of several instances is taken up again at those that are not done: `begun_on` tells them.
    let whole = barred.filter(|s| s.on.is_none());
    whole.map(|s| (s.remedy.clone(), if of_sessions(s) { None } else { Some(s.target.clone()) })).collect()
}

/// Sessions that the fix of an incident which was never closed has ended, or may have: whoever goes on with it has as many
/// fewer to end.
#[must_use]
pub fn ended(incident: &Incident) -> u64 {
    let of = |s: &Step| match s.outcome {
        Some(StepOutcome::Applied | StepOutcome::NotNeeded) => {
            s.sessions.iter().filter(|one| one.terminated).count()
        }
        Some(StepOutcome::Refused) => 0,
        Some(StepOutcome::Failed) | None => s.action.sessions().len(),
    };
    if incident.recovered.is_some() { 0 } else { incident.steps.iter().map(of).sum::<usize>() as u64 }
}

/// The instances or volumes on which a deed has been begun in this incident, by any remedy.
#[must_use]
pub fn begun_on(incident: &Incident, action: &Action) -> Vec<String> {
    let deed = action.deed();
    let steps = incident.steps.iter().filter(|s| s.may_be_done() && s.action.deed() == deed);
    steps.filter_map(|s| s.on.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, event: Event) -> Entry {
        Entry {
            schema: super::super::SCHEMA.into(),
            at: Timestamp(at),
            incident: "i1".into(),
            service: "shop".into(),
            event,
        }
    }

    fn report() -> Box<Report> {
        Box::new(crate::report(&crate::evidence::fixture::healthy(), Vec::new()))
    }

    fn opened(at: i64) -> Entry {
        entry(at, Event::Opened { causes: vec!["proxy-hung".into()], report: report() })
    }

    fn intent(at: i64, step: u64, action: Action, on: Option<&str>) -> Entry {
        entry(
            at,
            Event::Intent {
                step,
                remedy: "r".into(),
                kind: RemedyKind::AppRestart,
                cause: "proxy-hung".into(),
                target: "the API".into(),
                action,
                on: on.map(str::to_owned),
            },
        )
    }

    #[test]
    fn an_intent_without_an_outcome_is_not_begun_again() {
        let list = incidents(&[opened(0), intent(1, 1, Action::RestartProxy, None)]);
        let same = same(&list, &["another".into()], Timestamp(2_000)).expect("it was never closed");
        assert_eq!(done(same, Timestamp(2_000)), [("r".to_owned(), Some("the API".to_owned()))]);
    }

    #[test]
    fn instances_that_were_begun_are_known_by_name() {
        let list = incidents(&[opened(0), intent(1, 1, Action::RestartApi, Some("m1"))]);
        assert_eq!(begun_on(&list[0], &Action::RestartApi), ["m1"]);
        assert!(begun_on(&list[0], &Action::RestartDb).is_empty());
        assert!(done(&list[0], Timestamp(2)).is_empty(), "the others are still to be done");
    }

    #[test]
    fn a_refusal_leaves_the_way_open_and_sessions_are_barred_for_a_minute() {
        let refused = Event::Outcome {
            step: 1,
            outcome: StepOutcome::Refused,
            detail: "429".into(),
            sessions: Vec::new(),
            request_ids: Vec::new(),
            undo: None,
        };
        let list = incidents(&[opened(0), intent(1, 1, Action::RestartProxy, None), entry(2, refused)]);
        assert!(done(&list[0], Timestamp(3)).is_empty());
        let sessions = vec![pgmedic_model::SessionRef::default()];
        let list = incidents(&[opened(0), intent(1, 1, Action::Cancel { sessions }, None)]);
        assert_eq!(done(&list[0], Timestamp(50_000)), [("r".to_owned(), None)]);
        assert!(done(&list[0], Timestamp(70_000)).is_empty());
    }

    #[test]
    fn what_was_cut_off_counts_against_the_cap_of_what_goes_on() {
        let sessions = vec![pgmedic_model::SessionRef::default(); 30];
        let mut entries = vec![opened(0), intent(1, 1, Action::Cancel { sessions }, None)];
        assert_eq!(ended(&incidents(&entries)[0]), 30);
        entries.push(entries[1].clone());
        assert_eq!(incidents(&entries)[0].steps.len(), 1, "told twice, done once");
        let one = |terminated| SessionOutcome { terminated, ..SessionOutcome::default() };
        let known = Event::Outcome {
            step: 1,
            outcome: StepOutcome::Applied,
            detail: "2 of 30".into(),
            sessions: vec![one(true), one(false), one(true)],
            request_ids: Vec::new(),
            undo: None,
        };
        entries.push(entry(3, known));
        assert_eq!(ended(&incidents(&entries)[0]), 2);
        entries.push(entry(4, Event::Closed { recovered: false, summary: "ill".into(), report: report() }));
        assert_eq!(ended(&incidents(&entries)[0]), 0, "another fix, another count");
    }

    #[test]
    fn one_that_recovered_long_ago_is_over() {
        let closed = Event::Closed { recovered: true, summary: "well".into(), report: report() };
        let list = incidents(&[opened(0), entry(10, closed)]);
        let causes = ["proxy-hung".to_owned()];
        assert!(same(&list, &causes, Timestamp(60_000)).is_some(), "it flaps");
        assert!(same(&list, &["disk-full".into()], Timestamp(60_000)).is_none());
        assert!(same(&list, &causes, Timestamp(700_000)).is_none());
    }
}
