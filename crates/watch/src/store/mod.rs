//! Where incidents, the alerts that are to be sent, what was done and looks are kept: SQLite, Postgres, or memory.
//!
//! Watching never waits for the store. What is told to it is taken into a bounded backlog at once, written as soon as it
//! can be, and tried again with back-off; alerts that cannot be written down are sent all the same. Not in here: what an
//! incident is (`incidents`), sending alerts (`alerts`).

mod backend;
pub mod entry;
mod later;
mod looks;
mod op;
mod postgres;
pub mod reader;
mod samples;
mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
mod waiting;
mod worker;

pub use entry::{Begun, Found, Put, Restored, StoreError, TakenOver};

use crate::alerts::outbox::Kept;
use crate::alerts::{Entry, Outbox, OutboxError};
use crate::board::Board;
use crate::clock::Clock;
use crate::http::{Answer as Reply, Declined, Filter, History, Looked};
use crate::incident::Incident;
use crate::incidents::Incidents;
use crate::policy::Done;
use crate::seen::Seen;
use crate::settings::StoreAt;
use backend::Backend;
use later::Later;
use op::{Answer, Op};
use pgmedic_model::{Ms, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use worker::{Backlog, Job, Shared, Worker};

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

/// The longest that a question to the store takes.
const ANSWER: Duration = Duration::from_secs(5);
/// For how long the fixes of this process are remembered at least.
const REMEMBERED: Duration = Duration::from_secs(86_400);
/// The most that is told to the store and not yet taken into its backlog.
const JOBS: usize = 4096;
/// So many looks are written before their time.
const MANY_LOOKS: usize = 2048;

/// A store: a handle, cheap to clone. It is the daemon's [`Outbox`] and its [`History`].
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    said: sqlite::Said,
    clock: Clock,
    board: Board,
    is_shared: bool,
    /// Fixes that this process began, by their numbers.
    own: Mutex<BTreeMap<i64, Own>>,
}

/// A fix that this process began.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// As it is kept.
    at: Timestamp,
    begun: Instant,
    ended: Option<Instant>,
}

impl Store {
    /// Opens a store, and makes it where it is not there yet. `watcher` names this daemon among those that share a store:
    /// the same after a restart, and another one for each daemon. Counts are kept on `board`.
    ///
    /// A Postgres that cannot be reached is no error: it is tried again, and until then everything is in memory. Nor is a disk
    /// that is full or fails; [`Restored::said`] tells of it, and what its file had falls to this watcher once it is opened.
    ///
    /// # Errors
    /// Where a file cannot be made or is another watcher's. One that is broken is set aside, one that is not pgmedic's is
    /// not touched; [`Restored::said`] tells of it.
    pub async fn open(
        at: &StoreAt,
        keep: Keep,
        watcher: &str,
        clock: Clock,
        board: Board,
    ) -> Result<Self, StoreError> {
        let said = sqlite::Said::default();
        let mut later = None;
        let backend = match at {
            StoreAt::Sqlite(path) => {
                match sqlite::Thread::open(path.clone(), keep.clone(), Arc::clone(&said)).await {
                    Err(error @ StoreError::Disk { .. }) => {
                        let words = format!(
                            "{error}; it is tried again, until then everything is kept in memory alone"
                        );
                        said.lock().unwrap_or_else(PoisonError::into_inner).push(words);
                        later = Some(Later::new(path.clone(), keep.clone(), Arc::clone(&said)));
                        let book = sqlite::Book::stand_in(keep, Arc::clone(&said), clock.now())?;
                        Backend::Here(Box::new(book))
                    }
                    opened => Backend::Own(opened?),
                }
            }
            StoreAt::Postgres(target) => {
                let watcher = watcher.to_owned();
                let shared = postgres::Shared::new(target.clone(), keep, watcher, Arc::clone(&said));
                Backend::Shared(Box::new(shared))
            }
            StoreAt::Memory => Backend::Here(Box::new(sqlite::Book::open(None, keep, Arc::clone(&said))?)),
        };
        let (jobs, to_do) = mpsc::channel(JOBS);
        let is_shared = backend.is_shared();
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            backend,
            shared: Arc::clone(&shared),
            board: board.clone(),
            clock,
            backlog: Backlog::default(),
            later,
            not_before: None,
            failures: 0,
        };
        tokio::spawn(worker.run(to_do));
        Ok(Self(Arc::new(Inner { jobs, shared, said, clock, board, is_shared, own: Mutex::default() })))
    }

    /// True where several watchers may have it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.is_shared
    }

    /// What is to be gone on with after a restart.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn restore(&self) -> Result<Restored, StoreError> {
        let since = self.ago(Incidents::SAME);
        let Answer::Incidents(incidents) = self.ask(Op::Restore(since)).await? else {
            return Err(StoreError::Closed);
        };
        Ok(Restored { incidents, said: self.said() })
    }

    /// Keeps an incident as it is now, and what is to be told of it, in one transaction. Answers after `within` at the latest.
    pub async fn put(&self, incident: Arc<Incident>, entries: Vec<Entry>, within: Duration) -> Put {
        let (tell, mut told) = oneshot::channel();
        if self.0.jobs.try_send(Job::Put(Some(incident), entries, Some(tell))).is_err() {
            self.0.board.state().own.store_failures += 1;
            return Put::Late;
        }
        match tokio::time::timeout(within, &mut told).await {
            Ok(Ok(put)) => put,
            Ok(Err(_)) => Put::Late,
            Err(_) => {
                // Either it is here already, or the store finds nobody and keeps the outcome for `taken_over`.
                told.close();
                told.try_recv().unwrap_or(Put::Late)
            }
        }
    }

    /// Keeps that a service was looked at, and once a minute what a walk saw of what grows. Returns at once; looks like the one
    /// before are thinned.
    pub fn looked(&self, seen: &Seen) {
        self.0.shared.samples().take(seen);
        if self.0.shared.looks().take(seen) >= MANY_LOOKS {
            self.0.shared.many_looks.notify_one();
        }
    }

    /// A fix is about to be begun. It is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written: then nothing may be begun.
    pub async fn begin(&self, begun: Begun) -> Result<i64, StoreError> {
        let at = self.0.clock.now();
        match self.ask(Op::Begin(begun, at)).await? {
            Answer::Number(number) => {
                self.own().insert(number, Own { at, begun: Instant::now(), ended: None });
                Ok(number)
            }
            _ => Err(StoreError::Closed),
        }
    }

    /// A fix ended: how many steps it applied, and whether the service was well and proved so.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn ended(&self, number: i64, applied: u32, recovered: bool) -> Result<(), StoreError> {
        let at = self.0.clock.now();
        if let Some(own) = self.own().get_mut(&number) {
            own.ended = Some(Instant::now());
        }
        self.ask(Op::Ended { number, applied, recovered, at }).await.map(|_| ())
    }

    /// What was begun for a service within this time.
    ///
    /// # Errors
    /// Where the store cannot be read: then nothing may be begun.
    pub async fn done(&self, service: &str, within: Duration) -> Result<Vec<Done>, StoreError> {
        // This daemon's own are told by how long ago they were, whatever the clock was set to meanwhile.
        let own: BTreeMap<i64, Own> = {
            let mut own = self.own();
            own.retain(|_, fix| fix.begun.elapsed() < REMEMBERED.max(within));
            own.iter().filter(|(_, fix)| fix.begun.elapsed() <= within).map(|(n, fix)| (*n, *fix)).collect()
        };
        let since = own.values().map(|fix| fix.at).chain([self.ago(within)]).min().unwrap_or_default();
        let op = Op::Done { service: service.to_owned(), since };
        match self.ask(op).await? {
            Answer::Done(done) => {
                let now = self.0.clock.now();
                let ago = |at: Instant| now.plus(Ms(-Ms::from(at.elapsed()).0));
                let told = done.into_iter().map(|(number, done)| match own.get(&number) {
                    Some(fix) => Done { at: ago(fix.begun), ended_at: fix.ended.map(ago), ..done },
                    None => done,
                });
                Ok(told.collect())
            }
            _ => Err(StoreError::Closed),
        }
    }

    /// The one incident of this id, or whose id begins so.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn find(&self, id: &str) -> Result<Found, StoreError> {
        self.found(id, false).await
    }

    /// The other watcher that acts for a service, by its name. None where it is this one: it stays so while it lives. With a
    /// store of one's own it is always so. To be asked again before each step.
    ///
    /// # Errors
    /// Where the store cannot be asked: then nothing may be begun.
    pub async fn led_by_another(&self, service: &str) -> Result<Option<String>, StoreError> {
        match self.ask(Op::Leads(service.to_owned())).await? {
            Answer::Led(by) => Ok(by),
            _ => Err(StoreError::Closed),
        }
    }

    /// This daemon watches these services, and no others: what other watchers leave of them, once they are gone, falls to it.
    pub fn watches(&self, services: impl IntoIterator<Item = String>) {
        // A store that has more to do than it can is told at the next reload, or has ended.
        let _full = self.0.jobs.try_send(Job::Watch(services.into_iter().collect()));
    }

    /// What fell to this watcher since it was last asked. To be asked about once a second; it answers at once.
    #[must_use]
    pub fn taken_over(&self) -> TakenOver {
        let op::Fell { services, entries, incidents } = std::mem::take(&mut *self.0.shared.fell());
        let others = std::mem::take(&mut *self.0.shared.late()).into_iter().collect();
        TakenOver { services, entries, incidents, others, said: self.said() }
    }

    /// Writes what is still to be written, for at most this long, and closes. Gives how much was not written.
    pub async fn close(&self, within: Duration) -> usize {
        let (tell, told) = oneshot::channel();
        let closing = async {
            self.0.jobs.send(Job::Close(tell)).await.ok()?;
            told.await.ok()
        };
        // Closed already, or out of time: what is left is not known to be anything.
        tokio::time::timeout(within, closing).await.ok().flatten().unwrap_or(0)
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<i64, Own>> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ago(&self, span: Duration) -> Timestamp {
        self.0.clock.now().plus(Ms(-Ms::from(span).0))
    }

    async fn ask(&self, op: Op) -> Result<Answer, StoreError> {
        let (tell, told) = oneshot::channel();
        let asking = async {
            self.0.jobs.send(Job::Ask(op, tell)).await.map_err(|_| StoreError::Closed)?;
            told.await.map_err(|_| StoreError::Closed)?
        };
        tokio::time::timeout(ANSWER, asking).await.unwrap_or(Err(StoreError::Late))
    }

    async fn found(&self, id: &str, whole: bool) -> Result<Found, StoreError> {
        match self.ask(Op::Find { id: id.to_owned(), whole }).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(StoreError::Closed),
        }
    }

    fn tell(&self, job: Job) -> Kept<'_, ()> {
        let sent = self.0.jobs.try_send(job);
        if sent.is_err() {
            self.0.board.state().own.store_failures += 1;
        }
        let told = sent.map_err(|_| OutboxError("the store has more to write than it can".to_owned()));
        Box::pin(std::future::ready(told))
    }
}

impl Outbox for Store {
    /// Kept in memory where the store is down: that is no error.
    fn put(&self, entries: Vec<Entry>) -> Kept<'_, ()> {
        let (tell, told) = oneshot::channel();
        let sent = self.0.jobs.try_send(Job::Put(None, entries, Some(tell)));
        Box::pin(async move {
            sent.map_err(|_| OutboxError("the store has more to write than it can".to_owned()))?;
            match tokio::time::timeout(ANSWER, told).await {
                Ok(Ok(Put::Kept)) => Ok(()),
                _ => Err(OutboxError("the store did not take it yet, and will when it can".to_owned())),
            }
        })
    }

    fn pending(&self, after: i64, limit: usize) -> Kept<'_, Vec<Entry>> {
        Box::pin(async move {
            match self.ask(Op::Pending { after, limit }).await {
                Ok(Answer::Entries(entries)) => Ok(entries),
                Ok(_) => Err(OutboxError(StoreError::Closed.to_string())),
                Err(error) => Err(OutboxError(error.to_string())),
            }
        })
    }

    fn delivered(&self, ids: Vec<i64>) -> Kept<'_, ()> {
        self.tell(Job::Settle { delivered: ids, tried: Vec::new() })
    }

    fn failed(&self, id: i64, tries: u32, due: Timestamp) -> Kept<'_, ()> {
        self.tell(Job::Settle { delivered: Vec::new(), tried: vec![(id, tries, due)] })
    }
}

fn not_now(error: StoreError) -> Declined {
    Declined::NotNow(error.to_string())
}

impl History for Store {
    /// Without their reports: one incident's stands in [`History::incident`].
    fn incidents(&self, filter: Filter) -> Reply<'_, Vec<Arc<Incident>>> {
        Box::pin(async move {
            match self.ask(Op::Incidents(filter)).await.map_err(not_now)? {
                Answer::Incidents(found) => Ok(found.into_iter().map(Arc::new).collect()),
                _ => Err(not_now(StoreError::Closed)),
            }
        })
    }

    fn incident(&self, id: &str) -> Reply<'_, Option<Arc<Incident>>> {
        let id = id.to_owned();
        Box::pin(async move {
            match self.found(&id, true).await.map_err(not_now)? {
                Found::One(incident) => Ok(Some(Arc::new(*incident))),
                Found::Nothing | Found::Several(_) => Ok(None),
            }
        })
    }

    fn looks(&self, service: &str, since: Timestamp, limit: usize) -> Reply<'_, Vec<Looked>> {
        let op = Op::LooksOf { service: service.to_owned(), since, limit };
        Box::pin(async move {
            match self.ask(op).await.map_err(not_now)? {
                Answer::Looks(looks) => Ok(looks),
                _ => Err(not_now(StoreError::Closed)),
            }
        })
    }
}
