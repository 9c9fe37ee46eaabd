//! Where incidents, the alerts that are to be sent, what was done, pauses and looks are kept: SQLite, Postgres, or memory.
//!
//! Watching never waits for the store. What is told to it is taken into a bounded backlog at once, written as soon as it
//! can be, and tried again with back-off; alerts that cannot be written down are sent all the same. Not in here: what an incident is (`incidents`), sending alerts (`alerts`).

pub mod entry;

pub use entry::{Begun, Found, Pause, Put, Restored, StoreError, TakenOver};

use crate::alerts::outbox::Kept;
use crate::alerts::{Entry, InMemory, Outbox};
use crate::board::Board;
use crate::clock::Clock;
use crate::http::{Answer, Filter, History, Looked};
use crate::incident::Incident;
use crate::policy::Done;
use crate::seen::Seen;
use crate::settings::StoreAt;
use pgmedic_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// A store: a handle, cheap to clone. It is the daemon's [`Outbox`] and its [`crate::http::History`].
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    outbox: InMemory,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incidents: BTreeMap<String, Arc<Incident>>,
    pauses: Vec<Pause>,
}

impl Store {
    /// Opens a store, and makes it where it is not there yet. `watcher` names this daemon among those that share a store:
    /// the same after a restart, and another one for each daemon. Counts are kept on `board`.
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

    /// Keeps an incident as it is now, and what is to be told of it, in one transaction. Answers after `within` at the latest.
    pub async fn put(&self, incident: Arc<Incident>, entries: Vec<Entry>, _within: Duration) -> Put {
        self.state().incidents.insert(incident.id.clone(), incident);
        // In memory nothing fails.
        self.0.outbox.put(entries).await.map_or(Put::Late, |()| Put::Kept)
    }

    /// Keeps that a service was looked at. Returns at once; looks like the one before are thinned.
    pub fn looked(&self, _seen: &Seen) {}

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

    /// The one incident of this id, or whose id begins so.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn find(&self, id: &str) -> Result<Found, StoreError> {
        let one = self.state().incidents.get(id).cloned();
        Ok(one.map_or(Found::Nothing, |incident| Found::One(Box::new((*incident).clone()))))
    }

    /// True where this watcher is the one that may act for a service: it stays so while it lives. With a store of one's own it
    /// is always so. To be asked again before each step.
    ///
    /// # Errors
    /// Where the store cannot be asked: then nothing may be begun.
    pub async fn leads(&self, _service: &str) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// What fell to this watcher since it was last asked. To be asked about once a second; it answers at once.
    pub fn taken_over(&self) -> TakenOver {
        TakenOver::default()
    }

    /// Writes what is still to be written, for at most this long, and closes. What was not written is counted.
    pub async fn close(&self, _within: Duration) -> usize {
        0
    }
}

impl Outbox for Store {
    fn put(&self, entries: Vec<Entry>) -> Kept<'_, ()> {
        self.0.outbox.put(entries)
    }

    fn pending(&self, after: i64, limit: usize) -> Kept<'_, Vec<Entry>> {
        self.0.outbox.pending(after, limit)
    }

    fn delivered(&self, ids: Vec<i64>) -> Kept<'_, ()> {
        self.0.outbox.delivered(ids)
    }

    fn failed(&self, id: i64, tries: u32, due: Timestamp) -> Kept<'_, ()> {
        self.0.outbox.failed(id, tries, due)
    }
}

impl History for Store {
    fn incidents(&self, filter: Filter) -> Answer<'_, Vec<Arc<Incident>>> {
        let state = self.state();
        let fits = |i: &&Arc<Incident>| filter.open.is_none_or(|open| i.is_open() == open);
        let found: Vec<_> = state.incidents.values().rev().filter(fits).take(filter.limit).cloned().collect();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn incident(&self, id: &str) -> Answer<'_, Option<Arc<Incident>>> {
        let found = self.state().incidents.get(id).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn looks(&self, _service: &str, _since: Timestamp, _limit: usize) -> Answer<'_, Vec<Looked>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
