//! Fixes, each on a thread of its own: what they write to disk and what they wait for holds up no look. At most one at a
//! time for a service; the record in the state folder, whose lock they take, keeps `pgmedic fix` and other watchers off. Not
//! in here: whether one may be begun (`policy`), how it goes (`pgmedic_path::fix`).

use crate::clock::Clock;
use crate::hold::Hold;
use crate::incident::{Act, Incident};
use crate::policy::{Ask, Done, Held, may};
use crate::settings::Watched;
use crate::store::{Begun, Store, StoreError};
use futures_util::FutureExt;
use pgmedic_model::{FixReport, FixStep, PlanStep, RemedyKind, StepOutcome};
use pgmedic_path::Service;
use pgmedic_path::fix::{Answering, Company, News, Options, fix, settle};
use pgmedic_path::journal::incidents::incidents;
use pgmedic_path::journal::{Journal, JournalError, is_left_open, read_of};
use pgmedic_path::plan::Permits;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How soon a fix in hand heeds a pause or the stop file.
const HEED: Duration = Duration::from_millis(20);
/// An hour, for which the policy counts.
const HOUR: Duration = Duration::from_secs(3600);
/// Stack of a fix's thread, as much as `pgmedic fix` has. What is not used of it takes no memory.
const STACK: usize = 8 << 20;

/// What a fix is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To mend, by what is permitted.
    Mend,
    /// To close what an earlier one left open in the record, where the service is well by now. Nothing is done.
    Settle,
}

/// A fix that is to be begun.
#[derive(Clone, Debug)]
pub struct Job {
    /// The service as it is known by now.
    pub service: Arc<Service>,
    /// For which incident.
    pub incident: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Kinds that may be applied.
    pub kinds: Vec<RemedyKind>,
    /// Causes for which nothing is done: those of other incidents that are a person's.
    pub barred: Vec<String>,
    /// This remedy and no other.
    pub only: Option<String>,
    /// Who wants it: `policy`, or a name.
    pub by: String,
    /// What the policy is asked once more, with what was done before. None where a person approved it.
    pub asked: Option<Asked>,
    /// The longest that each walk may take.
    pub timeout: Duration,
    /// For how long the service must stay well.
    pub stable: Duration,
}

/// For whom the policy is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The service, with what may be done for it.
    pub watched: Arc<Watched>,
    /// For which incident.
    pub incident: Arc<Incident>,
}

/// What becomes of a fix, as it becomes.
#[derive(Debug)]
pub enum Mended {
    /// A step was begun, or ended: an act of an incident.
    Acted(String, Box<Act>),
    /// It is over.
    Over(Box<Over>),
}

/// How a fix ended.
#[derive(Debug)]
pub struct Over {
    /// For which service.
    pub service: Arc<str>,
    /// For which incident.
    pub incident: String,
    /// What it was for.
    pub purpose: Purpose,
    /// Who wanted it.
    pub by: String,
    /// What it did, with the place in the record.
    pub acts: Vec<Act>,
    /// How it ended.
    pub end: End,
}

/// How a fix ended.
#[derive(Debug)]
pub enum End {
    /// It came to its end, well or not.
    Done(Box<FixReport>),
    /// It was told to stop before: nothing more was begun.
    Stopped(Box<FixReport>, String),
    /// It was not begun: the policy says no, now that it knows what was done before.
    Held(Held),
    /// Another pgmedic is at it: nothing was done.
    Busy,
    /// Nothing was done: the record cannot be kept, or a defect.
    Failed(String),
}

/// A fix in hand.
#[derive(Debug)]
struct InHand {
    incident: String,
    stop: Arc<AtomicBool>,
}

/// Those who mend.
#[derive(Debug)]
pub struct Mender {
    state: PathBuf,
    home: String,
    hold: Arc<Hold>,
    store: Store,
    clock: Clock,
    out: mpsc::UnboundedSender<Mended>,
    in_hand: BTreeMap<Arc<str>, InHand>,
}

impl Mender {
    /// One that writes its record in a state folder; `home` tells services of one name apart there.
    #[must_use]
    pub fn new(
        state: PathBuf,
        home: String,
        hold: Arc<Hold>,
        store: Store,
        clock: Clock,
        out: mpsc::UnboundedSender<Mended>,
    ) -> Self {
        Self { state, home, hold, store, clock, out, in_hand: BTreeMap::new() }
    }

    /// For which incident a service is being mended.
    #[must_use]
    pub fn at_work(&self, service: &str) -> Option<&str> {
        self.in_hand.get(service).map(|job| job.incident.as_str())
    }

    /// True where any fix is in hand.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.in_hand.is_empty()
    }

    /// How many are in hand.
    #[must_use]
    pub fn count(&self) -> usize {
        self.in_hand.len()
    }

    /// What holds its hands is elsewhere, after a reload.
    pub fn heed(&mut self, hold: Arc<Hold>) {
        self.hold = hold;
    }

    /// True where a fix of this service was never closed in the record.
    #[must_use]
    pub fn left_open(&self, service: &str) -> bool {
        is_left_open(&self.state, service, &self.home)
    }

    /// Begins a fix. False where one is in hand already.
    pub fn begin(&mut self, job: Job) -> bool {
        let name: Arc<str> = job.service.name.as_str().into();
        if self.in_hand.contains_key(&name) {
            return false;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (incident, purpose, by) = (job.incident.clone(), job.purpose, job.by.clone());
        let hand = Hand {
            service: Arc::clone(&name),
            state: self.state.clone(),
            home: self.home.clone(),
            hold: Arc::clone(&self.hold),
            store: self.store.clone(),
            clock: self.clock,
            out: self.out.clone(),
            stop: Arc::clone(&stop),
            job,
        };
        self.in_hand.insert(Arc::clone(&name), InHand { incident: incident.clone(), stop });
        let begun =
            std::thread::Builder::new().name("mend".to_owned()).stack_size(STACK).spawn(|| hand.work());
        if let Err(error) = begun {
            let end = End::Failed(format!("this host gives no thread for it: {error}"));
            let over = Over { service: name, incident, purpose, by, acts: Vec::new(), end };
            // Whoever reads it is the one that called.
            let _gone = self.out.send(Mended::Over(Box::new(over)));
        }
        true
    }

    /// Takes note that a fix is over.
    pub fn over(&mut self, service: &str) {
        self.in_hand.remove(service);
    }

    /// Lets every fix end with the step that it has in hand; that of one service alone where one is named.
    pub fn stop(&self, service: Option<&str>) {
        let named = |name: &str| service.is_none_or(|service| service == name);
        for (_, job) in self.in_hand.iter().filter(|(name, _)| named(name)) {
            job.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// A fix, on its thread.
struct Hand {
    service: Arc<str>,
    state: PathBuf,
    home: String,
    hold: Arc<Hold>,
    store: Store,
    clock: Clock,
    out: mpsc::UnboundedSender<Mended>,
    stop: Arc<AtomicBool>,
    job: Job,
}

impl Hand {
    fn work(self) {
        let mut company = Reporter::new(&self);
        let end = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let whole = AssertUnwindSafe(self.allowed(&mut company)).catch_unwind();
                let end = runtime.block_on(whole);
                runtime.shutdown_background();
                end.unwrap_or_else(|_| End::Failed("a defect in pgmedic: the fix panicked".to_owned()))
            }
            Err(error) => End::Failed(format!("no runtime: {error}")),
        };
        let acts = company.acts(&end);
        let Job { incident, purpose, by, .. } = self.job;
        let over = Over { service: self.service, incident, purpose, by, acts, end };
        // The daemon has ended: the record has it.
        let _gone = self.out.send(Mended::Over(Box::new(over)));
    }

    /// Asks once more, writes down that it is begun, mends, and writes down how that ended.
    async fn allowed(&self, company: &mut Reporter) -> End {
        if self.job.purpose == Purpose::Settle {
            return self.mend(company).await;
        }
        if let Some(asked) = &self.job.asked
            && let Err(end) = self.ask_again(asked).await
        {
            return end;
        }
        let begun = Begun {
            service: self.service.to_string(),
            incident: self.job.incident.clone(),
            automatic: self.job.asked.is_some(),
            by: self.job.by.clone(),
        };
        let number = match self.store.begin(begun).await {
            Ok(number) => number,
            Err(error) => {
                return End::Failed(format!("nothing is begun that cannot be written down: {error}"));
            }
        };
        let end = self.mend(company).await;
        let (applied, recovered) = match &end {
            End::Done(report) | End::Stopped(report, _) => (done_steps(report), report.recovered),
            End::Held(_) | End::Busy | End::Failed(_) => (0, false),
        };
        match self.store.ended(number, applied, recovered).await {
            Ok(()) => end,
            // What was done stays done: it counts as if nobody knew how it ended.
            Err(_) => end,
        }
    }

    /// The policy, with what the store and the record know was done; and whether this watcher is the one that may act.
    async fn ask_again(&self, asked: &Asked) -> Result<(), End> {
        let (service, watched) = (&*self.service, &asked.watched);
        let cooldown = Duration::from_secs_f64(watched.service.policy.cooldown_ms.max(0.0) / 1000.0);
        let unknown = |error: StoreError| End::Failed(format!("what was done before is not known: {error}"));
        let mut done = self.store.done(service, HOUR.max(cooldown)).await.map_err(unknown)?;
        done.extend(self.recorded().map_err(|error| {
            End::Failed(format!("the record in {} cannot be read: {error}", self.state.display()))
        })?);
        let paused = self.hold.paused(service);
        let ask = Ask {
            now: self.clock.now(),
            watched,
            incident: &asked.incident,
            // It was seen lately enough when this was begun; what is acted on is a walk of the fix's own.
            seen_at: self.clock.now(),
            done: &done,
            paused: paused.as_deref(),
            stopped: self.hold.stopped(),
        };
        may(&ask).map_err(End::Held)?;
        match self.store.leads(service).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::Busy),
            Err(error) => Err(End::Failed(format!("who may act is not known: {error}"))),
        }
    }

    /// What the record says was done for this service, by whomever.
    fn recorded(&self) -> std::io::Result<Vec<Done>> {
        let entries = read_of(&self.state, &self.service, &self.home)?;
        let list = incidents(&entries);
        let steps = list.iter().flat_map(|i| &i.steps);
        let done = steps.filter(|step| step.may_be_done()).map(|step| Done {
            at: step.at,
            ended_at: step.ended_at,
            automatic: false,
            applied: Some(1),
        });
        Ok(done.collect())
    }

    async fn mend(&self, company: &mut Reporter) -> End {
        let settles = self.job.purpose == Purpose::Settle;
        let Job { kinds, only, barred, .. } = self.job.clone();
        let permits = Permits { kinds, only, barred, ..Permits::default() };
        let options = Options {
            permits,
            timeout: self.job.timeout,
            stable: self.job.stable,
            plan_only: settles,
            stop: Arc::clone(&self.stop),
        };
        let mut record = || self.journal();
        let mut mending = std::pin::pin!(fix(&self.job.service, &options, &mut record, company));
        let mut held = std::pin::pin!(self.held());
        let mut why = None;
        let outcome = loop {
            tokio::select! {
                biased;
                reason = &mut held, if why.is_none() => {
                    self.stop.store(true, Ordering::Relaxed);
                    why = Some(reason);
                }
                outcome = &mut mending => break outcome,
            }
        };
        match outcome {
            Ok(report) => {
                if report.recovered && report.incident.is_none() {
                    self.settle(&report);
                }
                if self.stop.load(Ordering::Relaxed) {
                    End::Stopped(
                        Box::new(report),
                        why.unwrap_or_else(|| {
                            "the daemon ends, or its configuration is another now".to_owned()
                        }),
                    )
                } else {
                    End::Done(Box::new(report))
                }
            }
            Err(JournalError::Busy { .. }) => End::Busy,
            Err(error) => End::Failed(error.to_string()),
        }
    }

    fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.state, &self.service, &self.home)
    }

    /// Comes back when something holds the daemon's hands that did not do so when a person approved this.
    async fn held(&self) -> String {
        let before = if self.job.by == Job::POLICY { None } else { self.hold.held(&self.service) };
        loop {
            match self.hold.held(&self.service) {
                Some(why) if before.as_ref() != Some(&why) => return why,
                _ => tokio::time::sleep(HEED).await,
            }
        }
    }

    /// Closes what an earlier fix left open. That it cannot is said by the next.
    fn settle(&self, report: &FixReport) {
        if is_left_open(&self.state, &self.service, &self.home)
            && let Ok(mut journal) = self.journal()
        {
            let _left = settle(&mut journal, report);
        }
    }
}

impl Job {
    /// Who wants what is done without asking.
    pub const POLICY: &'static str = "policy";
}

/// Tells the engine of every step.
struct Reporter {
    service: String,
    incident: String,
    by: String,
    clock: Clock,
    out: mpsc::UnboundedSender<Mended>,
    acts: Vec<Act>,
}

impl Reporter {
    fn new(hand: &Hand) -> Self {
        Self {
            service: hand.service.to_string(),
            incident: hand.job.incident.clone(),
            by: hand.job.by.clone(),
            clock: hand.clock,
            out: hand.out.clone(),
            acts: Vec::new(),
        }
    }

    fn tell(&self, act: &Act) {
        // The daemon has ended: the record has it.
        let _gone = self.out.send(Mended::Acted(self.incident.clone(), Box::new(act.clone())));
    }

    /// What was done, with its place in the record.
    fn acts(self, end: &End) -> Vec<Act> {
        let record = match end {
            End::Done(report) | End::Stopped(report, _) => report.incident.clone(),
            End::Held(_) | End::Busy | End::Failed(_) => None,
        };
        self.acts.into_iter().map(|act| Act { record: record.clone(), ..act }).collect()
    }
}

impl Company for Reporter {
    fn told(&mut self, news: &News<'_>) {
        match news {
            News::Begun(step) => {
                let act = Act {
                    service: self.service.clone(),
                    at: self.clock.now(),
                    remedy: step.remedy.clone(),
                    kind: step.kind,
                    target: step.target.clone(),
                    outcome: None,
                    detail: step.plan.clone(),
                    record: None,
                    by: self.by.clone(),
                };
                self.tell(&act);
                self.acts.push(act);
            }
            News::Ended(step) => {
                let Some(act) = self.acts.last_mut() else { return };
                (act.outcome, act.detail) = (Some(step.outcome), step.detail.clone());
                let act = act.clone();
                self.tell(&act);
            }
            News::Found(_) | News::Planned(_) | News::Resumed(_) | News::Well(_) => {}
        }
    }

    /// Nobody is there to be asked: what is not permitted beforehand is not done.
    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }
}

fn done_steps(report: &FixReport) -> u32 {
    let done = |step: &&FixStep| matches!(step.outcome, StepOutcome::Applied | StepOutcome::Failed);
    u32::try_from(report.steps.iter().filter(done).count()).unwrap_or(u32::MAX)
}

/// True where a fix did something, or may have.
#[must_use]
pub fn did_something(report: &FixReport) -> bool {
    done_steps(report) > 0
}
