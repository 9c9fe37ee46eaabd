//! Mends a service: walk, plan, write down, act, walk again, until it is well and stays so, or nothing more is allowed.
//!
//! One step at a time, each on a fresh walk; each written into the record before it is begun and again when its outcome is
//! known. Not in here: what may be done (`plan`, `gates`), doing it (`apply`), the record's files (`journal`).

mod begin;
mod look;
mod steps;

use crate::clock::Stopwatch;
use crate::journal::incidents::{Incident, begun_on, incidents};
use crate::journal::{Event, Journal, JournalError};
use crate::plan::{Permits, plan};
use crate::service::Service;
use begin::begin;
pub use begin::settle;
use look::Look;
use pgmedic_model::{
    Action, FixReport, FixStep, Ms, Permit, PlanStep, RemedyKind, Report, SessionClass, SessionRef,
    StepOutcome,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most steps of one fix.
const MOST_STEPS: usize = 20;
/// Evidence is not acted on when it is older than this: whoever was asked may have thought for long.
const FRESH: Duration = Duration::from_secs(10);

/// How long an interrupt may take to be heard.
const HEED: Duration = Duration::from_millis(20);

/// How a fix goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// What may be applied.
    pub permits: Permits,
    /// `--timeout` of each walk.
    pub timeout: Duration,
    /// For how long the service must stay well before it counts as mended.
    pub stable: Duration,
    /// Plan, and do nothing.
    pub plan_only: bool,
    /// Set by whoever wants it to end: the step in hand is finished, and no other is begun.
    pub stop: Arc<AtomicBool>,
}

/// What happens, as it happens.
#[derive(Debug)]
pub enum News<'a> {
    /// The first walk.
    Found(&'a Report),
    /// What is planned on it.
    Planned(&'a [PlanStep]),
    /// An earlier fix was cut off; what it had begun is not begun again.
    Resumed(&'a Incident),
    /// A step is about to be taken.
    Begun(&'a PlanStep),
    /// It came to this. One that needed nothing, for all of it was done before, was never begun.
    Ended(&'a FixStep),
    /// The service is well; now it must stay so.
    Well(Ms),
}

/// An answer, being thought about.
pub type Answering<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Whoever is told what happens, and asked where the permission is not given beforehand.
pub trait Company: Send {
    /// Is told.
    fn told(&mut self, news: &News<'_>);
    /// May this step be taken?
    fn may<'a>(&'a mut self, step: &'a PlanStep) -> Answering<'a>;
    /// Asked right before a step, or another of its targets, is written down and begun: may it still be? Where not, nothing
    /// more is, as if [`Options::stop`] had been set.
    fn still<'a>(&'a mut self, _step: &'a PlanStep) -> Answering<'a> {
        Box::pin(std::future::ready(true))
    }
}

/// Mends a service. `record` gives its journal when there is something to be written: not for a plan, nor for a service
/// that is well.
///
/// # Errors
/// Where there is no record to write into: then nothing was done.
pub async fn fix(
    service: &Service,
    options: &Options,
    record: &mut (dyn FnMut() -> Result<Journal, JournalError> + Send),
    company: &mut dyn Company,
) -> Result<FixReport, JournalError> {
    let watch = Stopwatch::start();
    let look = Look::at(service, options.timeout).await;
    company.told(&News::Found(&look.report));
    let mut permits = options.permits.clone();
    let planned = plan(&look.evidence, &look.findings, &permits);
    let mut report = report_of(service, &watch, &look, planned);
    if look.is_well() && report.plan.iter().all(|s| s.action.is_none() || s.permit != Permit::Yes) {
        report.recovered = !options.plan_only || look.is_well();
        report.summary = "nothing to mend".to_owned();
        report.elapsed_ms = watch.elapsed();
        return Ok(report);
    }
    if options.plan_only {
        company.told(&News::Planned(&report.plan));
        report.summary = "planned; nothing was done".to_owned();
        report.elapsed_ms = watch.elapsed();
        return Ok(report);
    }
    let mut journal = record()?;
    let incident = begin(&mut journal, service, &look, company)?;
    (permits.done, permits.ended) = (incident.done, incident.ended);
    report.plan = plan(&look.evidence, &look.findings, &permits);
    company.told(&News::Planned(&report.plan));
    let mut fix = Fix {
        service,
        options,
        permits,
        journal,
        company,
        incident: incident.id,
        step: incident.steps,
        steps: Vec::new(),
        tried: BTreeSet::new(),
        consented: BTreeMap::new(),
        watch,
        well_after: None,
        trouble: None,
        only_warnings: look.is_well(),
    };
    let last = fix.run(look).await;
    fix.close(&last);
    report.recovered = fix.recovered(&last);
    report.recovered_after_ms = fix.well_after.filter(|_| report.recovered);
    report.stable_ms = report.recovered.then(|| options.stable.into());
    report.summary = fix.verdict(&last);
    report.steps = fix.steps;
    report.incident = Some(fix.incident);
    report.elapsed_ms = watch.elapsed();
    report.after = Some(last.report);
    Ok(report)
}

fn report_of(service: &Service, watch: &Stopwatch, look: &Look, plan: Vec<PlanStep>) -> FixReport {
    FixReport {
        schema: FixReport::SCHEMA.to_owned(),
        service: service.name.clone(),
        started_at: watch.at,
        before: look.report.clone(),
        plan,
        steps: Vec::new(),
        after: None,
        recovered: false,
        recovered_after_ms: None,
        stable_ms: None,
        summary: String::new(),
        elapsed_ms: Ms::default(),
        incident: None,
    }
}

/// A fix under way.
struct Fix<'a> {
    service: &'a Service,
    options: &'a Options,
    permits: Permits,
    journal: Journal,
    company: &'a mut dyn Company,
    incident: String,
    /// Intents so far in this incident.
    step: u64,
    steps: Vec<FixStep>,
    /// Remedy and target of what was taken or declined.
    tried: BTreeSet<(String, String)>,
    /// What somebody said yes to, by the same.
    consented: BTreeMap<(String, String), Option<Action>>,
    watch: Stopwatch,
    well_after: Option<Ms>,
    /// The record could not be written: nothing more is done.
    trouble: Option<JournalError>,
    /// Nothing was critical from the start: what is mended are warnings.
    only_warnings: bool,
}

fn key(step: &PlanStep) -> (String, String) {
    // Sessions are told apart by who owns them, not by their number: the same remedy is not tried twice on what comes back.
    let owner = |s: &SessionRef| format!("{} as {}", s.application_name, s.usename);
    let owner = step.action.as_ref().and_then(|a| a.sessions().first()).map(owner);
    (step.remedy.clone(), owner.unwrap_or_else(|| step.target.clone()))
}

/// Whoever said yes to an action said it to this one too: it is the same, or ends no more sessions that idle, or cancels or
/// ends no others than were shown.
fn covers(said: Option<&Action>, now: Option<&Action>) -> bool {
    let shown = |a: &[SessionRef], b: &[SessionRef]| {
        b.iter().all(|s| a.iter().any(|t| (t.pid, &t.backend_start) == (s.pid, &s.backend_start)))
    };
    match (said, now) {
        (
            Some(Action::Terminate { sessions: a, class: x, .. }),
            Some(Action::Terminate { sessions: b, class: y, .. }),
        ) => x == y && b.len() <= a.len() && (*x == SessionClass::Idle || shown(a, b)),
        (Some(Action::Cancel { sessions: a }), Some(Action::Cancel { sessions: b })) => shown(a, b),
        _ => said == now,
    }
}

/// Comes back when the fix is wanted to end.
async fn wanted_to_end(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Fix<'_> {
    /// Takes step after step, and gives the last walk.
    async fn run(&mut self, mut look: Look) -> Look {
        for _ in 0..MOST_STEPS {
            if self.stopped() || (look.is_well() && !self.only_warnings) {
                break;
            }
            let steps = plan(&look.evidence, &look.findings, &self.permits);
            let next = steps.into_iter().find(|s| s.permit == Permit::Yes && !self.tried.contains(&key(s)));
            let Some(step) = next else { break };
            if !self.agreed(&step).await {
                self.tried.insert(key(&step));
                continue;
            }
            if self.stopped() {
                break;
            }
            if look.age() > FRESH {
                look = Look::at(self.service, self.options.timeout).await;
                continue;
            }
            if !self.may_still(&step).await {
                break;
            }
            self.tried.insert(key(&step));
            self.well_after = None;
            look = self.take(&step, &look).await;
            if look.is_well() && self.trouble.is_none() {
                look = self.stays_well(look).await;
            }
        }
        // Found well by another look than a step's, it is watched all the same.
        if look.is_well() && self.well_after.is_none() && !self.stopped() {
            look = self.stays_well(look).await;
        }
        look
    }

    /// True where the step's kind is allowed, or somebody allows it.
    async fn agreed(&mut self, step: &PlanStep) -> bool {
        if self.permits.kinds.contains(&step.kind)
            || self.consented.get(&key(step)).is_some_and(|said| covers(said.as_ref(), step.action.as_ref()))
        {
            return true;
        }
        let yes = tokio::select! {
            biased;
            () = wanted_to_end(&self.options.stop) => false,
            yes = self.company.may(step) => yes,
        };
        if yes {
            // An interrupt that came before the answer may be heard only after it.
            tokio::time::sleep(HEED).await;
            self.consented.insert(key(step), step.action.clone());
        }
        yes
    }

    /// Watches for a while whether it stays well. Gives the last walk.
    async fn stays_well(&mut self, mut look: Look) -> Look {
        let well = self.watch.elapsed();
        self.company.told(&News::Well(well));
        let from = tokio::time::Instant::now();
        while look.is_well() && from.elapsed() < self.options.stable && !self.stopped() {
            tokio::time::sleep((self.options.stable / 10).min(Duration::from_millis(500))).await;
            look = Look::at(self.service, self.options.timeout).await;
        }
        self.well_after = look.is_well().then_some(well);
        look
    }

    /// Asks whoever it is done for once more. A no ends the fix.
    async fn may_still(&mut self, step: &PlanStep) -> bool {
        if !self.company.still(step).await {
            self.options.stop.store(true, Ordering::Relaxed);
        }
        !self.stopped()
    }

    fn stopped(&self) -> bool {
        self.trouble.is_some() || self.options.stop.load(Ordering::Relaxed)
    }

    fn recovered(&self, last: &Look) -> bool {
        last.is_well()
            && self.well_after.is_some()
            && self.trouble.is_none()
            && !self.options.stop.load(Ordering::Relaxed)
    }

    /// The last entry. A record that cannot be written says so in the verdict.
    fn close(&mut self, last: &Look) {
        let (recovered, summary) = (self.recovered(last), self.verdict(last));
        let last = if self.options.stop.load(Ordering::Relaxed) {
            Event::Left { summary }
        } else {
            Event::Closed { recovered, summary, report: Box::new(last.report.clone()) }
        };
        if self.trouble.is_none() {
            self.trouble = self.journal.append(&self.incident, last).err();
        }
    }

    /// What it all came to, in one line.
    fn verdict(&self, last: &Look) -> String {
        let applied = self.steps.iter().filter(|s| s.outcome == StepOutcome::Applied).count();
        if let Some(trouble) = &self.trouble {
            return trouble.to_string();
        }
        if self.options.stop.load(Ordering::Relaxed) {
            return format!("stopped after {applied} step(s)");
        }
        if self.recovered(last) {
            let after = self.well_after.map(|ms| format!(" after {ms}")).unwrap_or_default();
            return format!(
                "well{after}, and stayed so for {}; {applied} step(s) applied",
                Ms::from(self.options.stable)
            );
        }
        let still = last.root_causes().join(", ");
        let steps = plan(&last.evidence, &last.findings, &self.permits);
        let next =
            steps.iter().find(|s| s.action.is_some() && s.permit != Permit::Yes).map(|s| match &s.permit {
                Permit::Person(why) | Permit::NotAllowed(why) | Permit::Closed(why) | Permit::Done(why) => {
                    format!("; next would be {}: {why}", s.remedy)
                }
                Permit::Yes => String::new(),
            });
        format!("not well yet: {still}; {applied} step(s) applied{}", next.unwrap_or_default())
    }

    /// The instances or volumes on which the step's deed was begun in this incident.
    fn begun_on(&self, action: &Action) -> Vec<String> {
        let list = incidents(self.journal.entries());
        list.iter().rfind(|i| i.id == self.incident).map_or_else(Vec::new, |i| begun_on(i, action))
    }

    /// How long a remedy of this kind may take to show, once it was applied.
    const fn patience(kind: RemedyKind) -> Duration {
        Duration::from_secs(match kind {
            RemedyKind::Advice => 0,
            RemedyKind::Sessions | RemedyKind::Settings => 10,
            RemedyKind::Storage | RemedyKind::ProxyRestart => 30,
            RemedyKind::AppRestart => 60,
            RemedyKind::DbRestart => 120,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(pids: &[i32]) -> Vec<SessionRef> {
        pids.iter().map(|pid| SessionRef { pid: *pid, ..SessionRef::default() }).collect()
    }

    #[test]
    fn a_yes_to_one_session_is_none_to_another() {
        let end = |pids: &[i32], class| Action::Terminate { sessions: sessions(pids), class, down_to: None };
        let cancel = |pids: &[i32]| Action::Cancel { sessions: sessions(pids) };
        let covered = |a: &Action, b: &Action| covers(Some(a), Some(b));
        let blocker = SessionClass::IdleInTransaction;
        assert!(covered(&end(&[7], blocker), &end(&[7], blocker)));
        assert!(!covered(&end(&[7], blocker), &end(&[99], blocker)), "somebody else is in the way by now");
        assert!(covered(&cancel(&[7, 8]), &cancel(&[8])) && !covered(&cancel(&[7, 8]), &cancel(&[9])));
        assert!(
            covered(&end(&[1, 2, 3], SessionClass::Idle), &end(&[2, 4], SessionClass::Idle)),
            "fewer that idle"
        );
        assert!(!covered(&end(&[1], SessionClass::Idle), &end(&[1, 2], SessionClass::Idle)));
    }
}
