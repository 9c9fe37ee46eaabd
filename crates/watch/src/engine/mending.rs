//! When something is mended: asks the policy at each look at a service that is ill, begins fixes, and takes in what they do.

use super::{Engine, News, Reply};
use crate::http::{Approval, Declined};
use crate::incident::{Act, Incident};
use crate::mend::{Asked, End, Job, Mended, Over, Purpose, did_something};
use crate::policy::{Ask, Held, may};
use pgmedic_model::{FixReport, Ms, RemedyKind, StepOutcome, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where it is told that an approved fix is begun, or why not.
type Begun = oneshot::Receiver<Result<(), String>>;

/// Fixes that are in hand at the same time: one root in a thousand services is not mended a thousand times at once.
const AT_ONCE: usize = 8;
/// A fix that could do nothing is thought of again after this, and after twice as long each time that it could not.
const AGAIN: Duration = Duration::from_secs(5);
/// It is thought of again after this at the latest.
const AT_THE_LATEST: Duration = Duration::from_secs(600);
/// One that another pgmedic was at, after this.
const AFTER_ANOTHER: Duration = Duration::from_secs(5);

impl Engine {
    /// Begins a fix for a service that is ill, where the policy allows it now.
    pub(super) fn think_of_mending(&mut self, service: &Arc<str>) {
        if self.mender.at_work(service).is_some() || self.mender.count() >= AT_ONCE {
            return;
        }
        let now = self.clock.now();
        let Some(tended) = self.services.get(service) else { return };
        // What seems over is not mended once more because of what its remedy left: that is another's, where it lasts.
        let due = |incident: &&Arc<Incident>| {
            tended.retry.get(&incident.id).is_none_or(|at| *at <= now)
                && !self.incidents.seems_over(&incident.id, service)
        };
        let mut incidents: Vec<Arc<Incident>> = self.incidents.of(service).filter(due).cloned().collect();
        // One that is critical goes before a warning; of two alike the older. One that is held stands in no other's way.
        incidents.sort_by_key(|i| (std::cmp::Reverse(i.severity), i.opened_at));
        for incident in incidents {
            match self.granted(service, &incident, now) {
                Ok(kinds) => return self.begin_fix(service, &incident, kinds),
                Err(held) => self.hold_back(service, &incident, &held),
            }
        }
    }

    /// Root causes of a service of which the policy leaves nothing to a fix for another incident of it: that incident is a
    /// person's by now, or only possible.
    fn barred(&self, service: &str, now: Timestamp) -> Vec<String> {
        let a_persons = |i: &&Arc<Incident>| {
            matches!(self.granted(service, i, now), Err(Held::Escalated(_) | Held::Unsure))
        };
        let theirs = self.incidents.of(service).filter(a_persons);
        theirs
            .flat_map(|i| {
                i.services.get(service).map(|a| a.cause.clone()).into_iter().chain([i.cause.clone()])
            })
            .collect()
    }

    /// What may be applied now, as far as that can be said without asking the store.
    fn granted(&self, service: &str, incident: &Incident, now: Timestamp) -> Result<Vec<RemedyKind>, Held> {
        let Some(tended) = self.services.get(service) else { return Err(Held::Over) };
        let cause = incident.services.get(service).map_or(&incident.cause, |affected| &affected.cause);
        let seen = [cause, &incident.cause].into_iter().filter_map(|cause| tended.roots_at.get(cause)).max();
        let paused = self.holds.paused(service);
        let ask = Ask {
            now,
            watched: &tended.watched,
            incident,
            seen_at: seen.copied().unwrap_or_default(),
            done: &[],
            paused: paused.as_deref(),
            stopped: self.holds.stopped(),
        };
        may(&ask).map(|granted| granted.kinds)
    }

    fn begin_fix(&mut self, service: &Arc<str>, incident: &Arc<Incident>, kinds: Vec<RemedyKind>) {
        let Some(tended) = self.services.get(service) else { return };
        let asked = Asked { watched: Arc::clone(&tended.watched), incident: Arc::clone(incident) };
        let job = Job {
            service: tended.sight.service(),
            incident: incident.id.clone(),
            purpose: Purpose::Mend,
            kinds,
            barred: self.barred(service, self.clock.now()),
            only: None,
            by: Job::POLICY.to_owned(),
            asked: Some(asked),
            timeout: self.settings.timeout,
            stable: self.settings.stable,
        };
        self.begin_job(service, job);
    }

    fn begin_job(&mut self, service: &Arc<str>, job: Job) {
        if self.mender.begin(job) {
            self.show_mending(service);
        }
    }

    fn show_mending(&self, service: &str) {
        if let Some(patient) = self.board.state().services.get_mut(service) {
            patient.mending = true;
        }
    }

    /// Says on the incident why nothing is done by itself, where that is news.
    fn hold_back(&mut self, service: &str, incident: &Arc<Incident>, held: &Held) {
        let now = self.clock.now();
        // What is older than the incident is looked at anew, and what a person holds may be let go any moment.
        let until = held.until().map(|until| until.max(now.plus(Ms::from(Duration::from_secs(1)))));
        if let Some(until) = until {
            self.retry_at(service, &incident.id, until);
        }
        if matches!(held, Held::Stale) {
            self.schedule.walk_now(service);
            return;
        }
        self.say_held(incident, held.to_string());
    }

    fn say_held(&mut self, incident: &Arc<Incident>, why: String) {
        if incident.held.as_ref() == Some(&why) {
            return;
        }
        self.host.tell(&News::Held(incident, &why));
        let verdicts = self.incidents.held(&incident.id, Some(why), self.clock.now());
        self.follow(verdicts);
    }

    fn retry_at(&mut self, service: &str, incident: &str, at: Timestamp) {
        if let Some(tended) = self.services.get_mut(service) {
            tended.retry.insert(incident.to_owned(), at);
        }
    }

    fn retry_after(&mut self, service: &str, incident: &str, span: Duration) {
        let at = self.clock.now().plus(Ms::from(span));
        self.retry_at(service, incident, at);
    }

    /// Takes in what a fix did.
    pub(super) fn mended(&mut self, mended: Mended) {
        match mended {
            Mended::Acted(incident, act) => {
                self.host.tell(&News::Acted(&incident, &act));
                self.note(&incident, *act);
            }
            Mended::Over(over) => self.over(*over),
        }
    }

    fn note(&mut self, incident: &str, act: Act) {
        let now = self.clock.now();
        let mut verdicts = self.incidents.acted(incident, act, now);
        verdicts.extend(self.incidents.held(incident, None, now));
        self.follow(verdicts);
    }

    fn over(&mut self, over: Over) {
        let Over { service, incident, purpose, acts, end, by } = over;
        self.mender.over(&service);
        if let Some(patient) = self.board.state().services.get_mut(&service) {
            patient.mending = false;
        }
        for act in acts {
            self.note(&incident, act);
        }
        if purpose == Purpose::Mend {
            self.came_to(&service, &incident, &by, end);
        }
        self.schedule.walk_now(&service);
    }

    fn came_to(&mut self, service: &str, incident: &str, by: &str, end: End) {
        let (again, why) = match end {
            End::Done(report) => match self.done(service, incident, by, &report) {
                None => return,
                Some(why) => {
                    let again = self.in_vain(service, incident);
                    if report.recovered {
                        // There was nothing to be done, and nothing to be said; it is not begun at once again.
                        self.retry_after(service, incident, again);
                        return;
                    }
                    (again, why)
                }
            },
            End::Stopped(report, why) => {
                self.count(&report);
                (Duration::from_secs(1), why)
            }
            End::Held(held) => {
                if let Some(incident) = self.incidents.get(incident).cloned() {
                    self.hold_back(service, &incident, &held);
                }
                if held.until().is_none() {
                    self.retry_after(service, incident, AGAIN);
                }
                return;
            }
            End::Busy => (AFTER_ANOTHER, "another pgmedic is mending it now".to_owned()),
            End::Elsewhere(why) => (AFTER_ANOTHER, why),
            End::Failed(why) => {
                self.host.tell(&News::Trouble(&format!("{service}: {why}")));
                (self.in_vain(service, incident), why)
            }
        };
        self.retry_after(service, incident, again);
        if let Some(incident) = self.incidents.get(incident).filter(|i| i.is_open()).cloned() {
            self.say_held(&incident, why);
        }
    }

    /// How long to wait after a fix that could do nothing.
    fn in_vain(&mut self, service: &str, incident: &str) -> Duration {
        let Some(tended) = self.services.get_mut(service) else { return AGAIN };
        let times = tended.in_vain.entry(incident.to_owned()).or_default();
        *times = (*times + 1).min(8);
        (AGAIN * 2u32.pow(*times - 1)).min(AT_THE_LATEST)
    }

    /// A fix that came to its end. Gives why it did nothing, where that is so.
    fn done(&mut self, service: &str, incident: &str, by: &str, report: &FixReport) -> Option<String> {
        self.count(report);
        let did = did_something(report);
        if !did {
            return Some(report.summary.clone());
        }
        self.host.tell(&News::Fixed { incident, service, summary: &report.summary });
        // A person's own remedy is no failure of the policy.
        if by == Job::POLICY || report.recovered {
            let most = self.services.get(service).map_or(u32::MAX, |t| t.watched.automatic.escalate_after);
            let verdicts = self.incidents.fixed(incident, report.recovered, most, self.clock.now());
            self.follow(verdicts);
        }
        None
    }

    fn count(&self, report: &FixReport) {
        let mut state = self.board.state();
        for step in &report.steps {
            let key = (step.cause.clone(), step.remedy.clone(), outcome(step.outcome).to_owned());
            *state.own.remedies.entry(key).or_default() += 1;
        }
    }

    /// A person wants this remedy. It is answered when it is begun: whether another watcher acts for the service is asked of
    /// the store, and not waited for here.
    pub(super) fn approve(&mut self, approval: Approval, reply: Reply) {
        let said =
            format!("{} was begun; the actions of {} tell how it ends", approval.remedy, approval.incident);
        match self.approved(approval) {
            Ok(begun) => {
                tokio::spawn(async move {
                    let answer = match begun.await {
                        Ok(begun) => begun.map(|()| said).map_err(Declined::Conflict),
                        Err(_) => Err(Declined::NotNow("the fix broke down before it was begun".to_owned())),
                    };
                    // Whoever asked may have gone.
                    let _gone = reply.send(answer);
                });
            }
            Err(declined) => {
                let _gone = reply.send(Err(declined));
            }
        }
    }

    fn approved(&mut self, approval: Approval) -> Result<Begun, Declined> {
        let Approval { incident: id, service, remedy, by } = approval;
        let unknown = || Declined::Unknown(format!("no incident {id}: see /api/v1/incidents"));
        let incident = self.incidents.get(&id).cloned().ok_or_else(unknown)?;
        let conflict = |why: String| Err(Declined::Conflict(why));
        if !incident.is_open() {
            return conflict(format!("the incident {id} is closed: nothing is to be done"));
        }
        let service = service.unwrap_or_else(|| incident.service.clone());
        if !incident.services.contains_key(&service) {
            return conflict(format!("{service} is none of the services of {id}"));
        }
        let Some((name, tended)) = self.services.get_key_value(service.as_str()) else {
            return conflict(format!("{service} is watched no more"));
        };
        let Some(plan) = incident.remedies.iter().find(|plan| plan.remedy == remedy && plan.automatic) else {
            return conflict(format!(
                "{remedy} is no remedy of {id} that pgmedic can apply: see its remedies"
            ));
        };
        let (name, kind, sight) = (Arc::clone(name), plan.kind, Arc::clone(&tended.sight));
        let job = Job {
            service: sight.service(),
            incident: id.clone(),
            purpose: Purpose::Mend,
            kinds: vec![kind],
            barred: Vec::new(),
            only: Some(remedy.clone()),
            by,
            asked: None,
            timeout: self.settings.timeout,
            stable: self.settings.stable,
        };
        match self.mender.begin_approved(job) {
            Some(begun) => {
                self.show_mending(&name);
                Ok(begun)
            }
            None => conflict(format!("{service} is being mended already: wait for its end")),
        }
    }

    /// A fix that an earlier process left open in the record is closed there, too, once the service is well.
    pub(super) fn settle_record(&mut self, incident: &str, left_open: Vec<Arc<str>>) {
        for name in left_open {
            let Some(tended) = self.services.get(&name) else { continue };
            if self.mender.at_work(&name).is_some() {
                continue;
            }
            let job = Job {
                service: tended.sight.service(),
                incident: incident.to_owned(),
                purpose: Purpose::Settle,
                kinds: Vec::new(),
                barred: Vec::new(),
                only: None,
                by: Job::POLICY.to_owned(),
                asked: None,
                timeout: self.settings.timeout,
                stable: self.settings.stable,
            };
            self.begin_job(&name, job);
        }
    }
}

/// The outcome as the record has it.
const fn outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Applied => "applied",
        StepOutcome::Refused => "refused",
        StepOutcome::Failed => "failed",
        StepOutcome::NotNeeded => "not-needed",
    }
}
