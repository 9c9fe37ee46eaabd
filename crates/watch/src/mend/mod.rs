//! Fixes, each on a thread of its own: what they write to disk and what they wait for holds up no look. At most one at a
//! time for a service; the record in the state folder, whose lock they take, keeps `pgmedic fix` and other watchers off. Not
//! in here: whether one may be begun (`policy`), how it goes (`pgmedic_path::fix`).

mod hand;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::hold::Hold;
use crate::incident::{Act, Incident};
use crate::policy::Held;
use crate::settings::Watched;
use crate::store::Store;
use hand::{Begin, Hand};
use pgmedic_model::{FixReport, FixStep, RemedyKind, StepOutcome};
use pgmedic_path::Service;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

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
    /// It was not begun: another watcher acts for the service, or nobody knows whether one does. Says which.
    Elsewhere(String),
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

    /// Begins a fix. False where one is in hand already.
    pub fn begin(&mut self, job: Job) -> bool {
        self.start(job, None)
    }

    /// Begins what a person approved, where no fix is in hand already. Gives where it is told that it was begun, or why not.
    pub fn begin_approved(&mut self, job: Job) -> Option<oneshot::Receiver<Result<(), String>>> {
        let (reply, begun) = oneshot::channel();
        self.start(job, Some(reply)).then_some(begun)
    }

    fn start(&mut self, job: Job, reply: Option<Begin>) -> bool {
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
            reply,
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

impl Job {
    /// Who wants what is done without asking.
    pub const POLICY: &'static str = "policy";
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
