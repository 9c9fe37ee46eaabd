//! Who is told of incidents, and that nothing is lost: entries for each receiver, kept in an outbox until they are delivered.
//!
//! ```text
//!  Change, Incident ─▶ entries ─▶ outbox (kept) ─▶ one line for each receiver ─▶ render (pure) ─▶ POST
//! ```
//!
//! Not in here: what an incident is (`incidents`), and where the outbox is kept (`store`).

mod alertmanager;
mod answer;
mod deliver;
mod labels;
mod letter;
mod line;
pub mod outbox;
mod pagerduty;
mod receiver;
mod render;
mod resume;
#[cfg(test)]
mod sample;
mod slack;
#[cfg(test)]
mod tests;
mod tuning;
mod wanted;
mod webhook;
mod words;

pub use outbox::{Entry, InMemory, Outbox, OutboxError};
pub use tuning::Tuning;

use crate::board::Board;
use crate::clock::Clock;
use crate::incident::{Change, Incident};
use crate::settings::{AlertKind, AlertTo};
use deliver::{Carrier, Desk, Http};
use letter::{Known, Letter};
use line::Line;
use receiver::Receiver;
use resume::Early;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Who is told, and how alerts are labelled.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The receivers of the configuration.
    pub to: Vec<AlertTo>,
    /// `external_url`: where people reach this daemon.
    pub external_url: Option<String>,
    /// The labels of each service by its name.
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// How an attempt to tell somebody ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The receiver has it.
    Sent,
    /// It will be tried again.
    Retried,
    /// It was given up: the receiver refuses it, or was not there for three days.
    Lost,
}

/// What happened with an alert, for stderr. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The receiver's name.
    pub receiver: String,
    /// The incident's id; empty where it is not about one.
    pub incident: String,
    /// How it ended.
    pub told: Told,
    /// In one sentence: why, and what becomes of it.
    pub words: String,
}

/// Is told what happened with alerts. Must not block.
pub type Hook = Arc<dyn Fn(&Happened) + Send + Sync>;

/// A receiver that cannot be told anything as it is configured. The text does not repeat its URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("alerts, receiver {number} ({kind}): {why}")]
pub struct BadReceiver {
    /// Which of the configuration's, from 1 on.
    pub number: usize,
    /// Its kind.
    pub kind: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// Who is told of incidents. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Alerts(Arc<Core>);

/// What all clones share.
struct Core {
    plan: Plan,
    desks: Vec<Arc<Desk>>,
    outbox: Arc<dyn Outbox>,
    board: Board,
    clock: Clock,
    hook: Hook,
    carrier: Box<dyn Carrier>,
    tuning: Tuning,
    /// What is remembered of each open incident.
    known: Mutex<HashMap<String, Known>>,
    /// The last id that was given out.
    last: AtomicI64,
    /// What comes in before an outbox was read that others had before this: to be taken in after what is older.
    early: Mutex<Option<Early>>,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("desks", &self.0.desks.len()).finish_non_exhaustive()
    }
}

impl Alerts {
    /// Receivers ready to be told. Nothing is sent before [`Alerts::run`].
    ///
    /// A changed configuration takes effect by a new `Alerts` on the same outbox ([`Alerts::after`]), and by ending
    /// [`Alerts::run`] of the one before.
    ///
    /// # Errors
    /// Where a receiver's URL is none, or a key is missing.
    pub fn new(
        plan: Plan,
        outbox: Arc<dyn Outbox>,
        board: Board,
        clock: Clock,
        hook: Hook,
    ) -> Result<Self, BadReceiver> {
        Self::tuned(plan, outbox, board, (clock, hook), Tuning::default())
    }

    /// The same with other spans of time.
    ///
    /// # Errors
    /// See [`Alerts::new`].
    pub fn tuned(
        plan: Plan,
        outbox: Arc<dyn Outbox>,
        board: Board,
        (clock, hook): (Clock, Hook),
        tuning: Tuning,
    ) -> Result<Self, BadReceiver> {
        Self::carried(plan, outbox, board, (clock, hook), tuning, Box::<Http>::default())
    }

    fn carried(
        plan: Plan,
        outbox: Arc<dyn Outbox>,
        board: Board,
        (clock, hook): (Clock, Hook),
        tuning: Tuning,
        carrier: Box<dyn Carrier>,
    ) -> Result<Self, BadReceiver> {
        let desk = |receiver: Receiver| {
            let space = if receiver.kind == AlertKind::Slack { tuning.slack_space } else { Duration::ZERO };
            let line = Line::new(receiver.at_once(), keeps(&receiver), space);
            Arc::new(Desk::new(receiver, line))
        };
        let desks = Receiver::all(&plan.to)?.into_iter().map(desk).collect();
        Ok(Self(Arc::new(Core {
            plan,
            desks,
            outbox,
            board,
            clock,
            hook,
            carrier,
            tuning,
            known: Mutex::default(),
            last: AtomicI64::new(0),
            early: Mutex::default(),
        })))
    }

    /// What the receivers are to be told of a change: one entry for each receiver that wants to know. To be called once for
    /// each change, in their order. Nothing is kept or sent by it: a store writes the entries together with the incident,
    /// and then [`Alerts::take`] has them sent.
    #[must_use]
    pub fn entries(&self, change: Change, incident: &Incident) -> Vec<Entry> {
        self.0.entries(change, incident)
    }

    /// Has entries sent that are kept already, or that no store would take: a full disk silences nobody. They may be those
    /// that another watcher left: an incident keeps the labels under which that one told of it.
    pub fn take(&self, entries: Vec<Entry>) {
        if let Some(waiting) = self.0.early().as_mut().and_then(|early| early.entries.as_mut()) {
            waiting.extend(entries);
            return;
        }
        self.send(entries);
    }

    /// Has entries sent.
    fn send(&self, entries: Vec<Entry>) {
        let mut letters: HashMap<String, Arc<Letter>> = HashMap::new();
        for entry in entries {
            let Some(desk) = self.0.desks.iter().find(|desk| desk.receiver.name == entry.receiver) else {
                continue;
            };
            let letter = match letters.get(&entry.body) {
                Some(letter) => Arc::clone(letter),
                None => {
                    let Some(letter) = self.0.letter(&entry) else { continue };
                    letters.insert(entry.body.clone(), Arc::clone(&letter));
                    letter
                }
            };
            self.0.inherit(&letter);
            desk.line().add(self.0.item(&entry, letter));
            desk.wake.notify_one();
        }
    }

    /// All three: what is to be told is put into the outbox, and sent.
    ///
    /// # Errors
    /// Where the outbox did not keep it. It is sent all the same, and lost if this process ends before that.
    pub async fn tell(&self, change: Change, incident: &Incident) -> Result<(), OutboxError> {
        let entries = self.entries(change, incident);
        let kept = if entries.is_empty() { Ok(()) } else { self.0.outbox.put(entries.clone()).await };
        self.take(entries);
        kept
    }

    /// Delivers until `shutdown` comes about, then ends within a second. What was not delivered stays in the outbox.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopped) = watch::channel(false);
        let mut desks = JoinSet::new();
        for desk in &self.0.desks {
            desks.spawn(Arc::clone(&self.0).serve(Arc::clone(desk), stopped.clone()));
        }
        drop(stopped);
        shutdown.await;
        stop.send_replace(true);
        while desks.join_next().await.is_some() {}
    }
}

/// True where what is told has to be told again as long as it lasts.
fn keeps(receiver: &Receiver) -> bool {
    receiver.kind == AlertKind::Alertmanager
}

impl Core {
    /// What is remembered, for a moment.
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn early(&self) -> MutexGuard<'_, Option<Early>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labels(&self, incident: &Incident) -> letter::Labels {
        labels::labels(incident, self.plan.labels.get(&incident.service))
    }

    fn entries(&self, change: Change, incident: &Incident) -> Vec<Entry> {
        let before = self.known().get(&incident.id).cloned();
        let (labels, outgrown) = match &before {
            None => (self.labels(incident), None),
            // An alert of another severity is another alert: routes go by it. The one that it was is over.
            Some(known) if incident.severity > known.severity() => {
                let labels = letter::Labels::clone(&known.labels);
                (self.labels(incident), Some((labels, incident.updated_at)))
            }
            Some(known) => (known.labels.clone(), known.outgrown.clone()),
        };
        if change == Change::Closed {
            self.known().remove(&incident.id);
        } else {
            let known = Known::of(incident, labels.clone(), outgrown.clone());
            self.known().insert(incident.id.clone(), known);
            if let Some(early) = &mut *self.early() {
                early.told.insert(incident.id.clone());
            }
        }
        let letter = Letter {
            event: Letter::event(change, incident),
            change,
            incident: Incident { report: None, ..incident.clone() },
            labels,
            outgrown,
        };
        let was = before.as_ref();
        let wants = |desk: &&Arc<Desk>| self.wants(&desk.receiver, change, incident, &letter, was);
        let entries = self.desks.iter().filter(wants).map(|desk| {
            let heard = was.is_none_or(|known| self.heard(&desk.receiver, known));
            // One that did not want to hear of it until now hears of it as opened.
            let change = if change == Change::Updated && !heard { Change::Opened } else { change };
            self.entry(&desk.receiver, &Letter { change, ..letter.clone() })
        });
        entries.collect()
    }

    fn entry(&self, receiver: &Receiver, letter: &Letter) -> Entry {
        let now = self.clock.now();
        Entry {
            id: self.id(),
            receiver: receiver.name.clone(),
            incident: letter.incident.id.clone(),
            put_at: now,
            due: now,
            tries: 0,
            body: serde_json::to_string(letter).unwrap_or_default(),
        }
    }

    /// The next id: microseconds since the epoch, and always greater than the one before it.
    fn id(&self) -> i64 {
        let now = self.clock.now().0.saturating_mul(1000);
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let before = before.unwrap_or_else(|last| last);
        now.max(before.saturating_add(1))
    }
}
