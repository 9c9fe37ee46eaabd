//! The one task that speaks with the backend: what is to be kept goes into a backlog first, and from there into the store as
//! soon as that takes it. What must be known at once (a fix that is begun, a question) is asked of the store itself.

use super::backend::Backend;
use super::entry::{Put, StoreError};
use super::later::Later;
use super::looks::Looks;
use super::op::{Answer, Fell, Op};
use super::samples::Samples;
use crate::alerts::Entry;
use crate::board::Board;
use crate::clock::Clock;
use crate::incident::Incident;
use pgmedic_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// From one writing of looks to the next.
const LOOKS: Duration = Duration::from_secs(10);
/// From one pruning to the next.
const PRUNE: Duration = Duration::from_secs(60);
/// From one renewal of what this watcher speaks for to the next.
const RENEW: Duration = Duration::from_secs(3);
/// After a failure, doubled with each.
const RETRY: Duration = Duration::from_millis(500);
/// The longest time between two attempts.
const RETRY_MOST: Duration = Duration::from_secs(30);
/// The most incidents that wait for a store that is down.
const INCIDENTS: usize = 2000;
/// The most alerts that wait for it, and the most notes on alerts.
const ENTRIES: usize = 20_000;

/// What is asked of the task.
#[derive(Debug)]
pub(super) enum Job {
    /// To be kept; what came of it is told, where somebody still waits.
    Put(Option<Arc<Incident>>, Vec<Entry>, Option<oneshot::Sender<Put>>),
    /// What became of alerts.
    Settle { delivered: Vec<i64>, tried: Vec<(i64, u32, Timestamp)> },
    /// The services that this watcher watches.
    Watch(BTreeSet<String>),
    /// To be done now or not at all.
    Ask(Op, oneshot::Sender<Result<Answer, StoreError>>),
    /// The end: everything is written that can be.
    Close(oneshot::Sender<usize>),
}

/// What the task and the handle share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) looks: Mutex<Looks>,
    pub(super) many_looks: Notify,
    samples: Mutex<Samples>,
    pub(super) fell: Mutex<Fell>,
    /// Incidents that turned out to be another watcher's when nobody waited for that any more, by the id that they had here.
    late: Mutex<BTreeMap<String, Box<Incident>>>,
}

impl Shared {
    pub(super) fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of a put, with nobody who waits for it.
    fn came_late(&self, id: String, put: Put) {
        if let Put::Elsewhere(Some(other)) | Put::Adopt(other) = put {
            self.late().insert(id, other);
        }
    }

    /// What came late, for whoever fetches it.
    pub(super) fn late(&self) -> MutexGuard<'_, BTreeMap<String, Box<Incident>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fell(&self) -> MutexGuard<'_, Fell> {
        self.fell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) backend: Backend,
    pub(super) shared: Arc<Shared>,
    pub(super) board: Board,
    pub(super) clock: Clock,
    pub(super) backlog: Backlog,
    /// The file that memory stands in for.
    pub(super) later: Option<Later>,
    /// Nothing is tried before.
    pub(super) not_before: Option<Instant>,
    pub(super) failures: u32,
}

/// What is not written yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Incidents by id, as they are now, with the alerts that belong to them; those without one under "".
    puts: BTreeMap<String, (Option<Arc<Incident>>, Vec<Entry>)>,
    delivered: BTreeSet<i64>,
    tried: BTreeMap<i64, (u32, Timestamp)>,
}

impl Backlog {
    fn put(&mut self, incident: Option<Arc<Incident>>, entries: Vec<Entry>) -> String {
        let id = incident.as_ref().map(|i| i.id.clone()).unwrap_or_default();
        let waits = self.puts.entry(id.clone()).or_default();
        waits.0 = incident.or(waits.0.take());
        waits.1.retain(|before| !entries.iter().any(|entry| entry.id == before.id));
        waits.1.extend(entries);
        id
    }

    /// How many incidents were let go so that this one is bounded. A closed one goes before an open one.
    fn bound(&mut self) -> u64 {
        let mut lost = 0;
        let entries =
            |puts: &BTreeMap<String, (_, Vec<Entry>)>| puts.values().map(|(_, e)| e.len()).sum::<usize>();
        while self.puts.len() > INCIDENTS || entries(&self.puts) > ENTRIES {
            let closed = self.puts.iter().find(|(_, (i, _))| i.as_ref().is_some_and(|i| !i.is_open()));
            let Some(id) = closed.or(self.puts.iter().next()).map(|(id, _)| id.clone()) else { break };
            self.puts.remove(&id);
            lost += 1;
        }
        while self.delivered.len() > ENTRIES {
            self.delivered.pop_first();
        }
        while self.tried.len() > ENTRIES {
            self.tried.pop_first();
        }
        lost
    }

    fn settle(&mut self, delivered: Vec<i64>, tried: Vec<(i64, u32, Timestamp)>) {
        for (_, entries) in self.puts.values_mut() {
            entries.retain(|entry| !delivered.contains(&entry.id));
            for (id, tries, due) in &tried {
                if let Some(entry) = entries.iter_mut().find(|entry| entry.id == *id) {
                    (entry.tries, entry.due) = (*tries, *due);
                }
            }
        }
        self.tried.retain(|id, _| !delivered.contains(id));
        self.tried.extend(tried.into_iter().map(|(id, tries, due)| (id, (tries, due))));
        self.delivered.extend(delivered);
    }

    /// The alerts that wait in it, beside those that the store has.
    fn amend(&self, mut stored: Vec<Entry>, after: i64, limit: usize) -> Vec<Entry> {
        let waiting = self.puts.values().flat_map(|(_, entries)| entries).filter(|entry| entry.id > after);
        stored.retain(|entry| !self.delivered.contains(&entry.id));
        for entry in waiting {
            stored.retain(|before| before.id != entry.id);
            stored.push(entry.clone());
        }
        stored.sort_by_key(|entry| entry.id);
        stored.truncate(limit);
        stored
    }

    pub(super) fn len(&self) -> usize {
        self.puts.values().map(|(incident, entries)| usize::from(incident.is_some()) + entries.len()).sum()
    }
}

impl Worker {
    /// Works until the store is closed, or nobody has it any more.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let now = Instant::now();
        let (mut looks, mut prune, mut renew) = (now + LOOKS, now + LOOKS / 2, now + RENEW);
        let shared = Arc::clone(&self.shared);
        loop {
            let later = self.later.as_ref().map_or(looks, Later::due);
            let due = looks.min(prune).min(renew).min(later).min(self.not_before.unwrap_or(looks));
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(Job::Close(done)) => {
                        self.flush().await;
                        self.write_looks().await;
                        self.backend.close().await;
                        // Whoever closes it may have given up waiting.
                        let _ = done.send(self.backlog.len());
                        return;
                    }
                    Some(job) => self.job(job).await,
                    None => return,
                },
                () = shared.many_looks.notified() => self.write_looks().await,
                () = tokio::time::sleep_until(due) => {
                    let now = Instant::now();
                    if self.not_before.is_some_and(|at| at <= now) {
                        self.not_before = None;
                        self.flush().await;
                    }
                    if later <= now {
                        self.try_later().await;
                    }
                    if looks <= now {
                        self.write_looks().await;
                        looks = now + LOOKS;
                    }
                    if prune <= now {
                        self.prune().await;
                        prune = now + PRUNE;
                    }
                    if renew <= now {
                        self.renew().await;
                        renew = now + RENEW;
                    }
                }
            }
        }
    }

    async fn job(&mut self, job: Job) {
        match job {
            Job::Put(incident, entries, tell) => {
                let id = self.backlog.put(incident, entries);
                let lost = self.backlog.bound();
                self.count(lost);
                let put = if self.not_before.is_none() { self.write(&id).await } else { Put::Late };
                let untold = match tell {
                    Some(tell) => tell.send(put).err(),
                    None => Some(put),
                };
                // Whoever waited has given up: it was told of as late.
                if let Some(put) = untold {
                    self.shared.came_late(id, put);
                }
            }
            Job::Settle { delivered, tried } => {
                self.backlog.settle(delivered, tried);
                self.backlog.bound();
                if self.not_before.is_none() {
                    self.write_notes().await;
                }
            }
            Job::Watch(services) => self.backend.watch(services),
            Job::Ask(op, tell) => {
                let answer = self.ask(op).await;
                let _ = tell.send(answer);
            }
            Job::Close(_) => {}
        }
    }

    async fn ask(&mut self, op: Op) -> Result<Answer, StoreError> {
        let alerts = match op {
            Op::Pending { after, limit } => Some((after, limit)),
            _ => None,
        };
        if self.not_before.is_some() && self.backend.is_shared() {
            // Whoever asks need not wait for a server that did not answer a moment ago.
            let waiting = |(after, limit)| Answer::Entries(self.backlog.amend(Vec::new(), after, limit));
            return alerts.map(waiting).ok_or(StoreError::Late);
        }
        let answer = self.backend.run(op).await;
        match (alerts, answer) {
            (Some((after, limit)), Ok(Answer::Entries(stored))) => {
                Ok(Answer::Entries(self.backlog.amend(stored, after, limit)))
            }
            (_, Err(error)) => {
                self.failed();
                Err(error)
            }
            (_, answer) => answer,
        }
    }

    /// Writes what waits, until the store will not take it.
    async fn flush(&mut self) {
        while let Some(id) = self.backlog.puts.keys().next().cloned() {
            match self.write(&id).await {
                Put::Late => return,
                put => self.shared.came_late(id, put),
            }
        }
        self.write_notes().await;
    }

    /// Writes one incident with its alerts.
    async fn write(&mut self, id: &str) -> Put {
        let Some((incident, entries)) = self.backlog.puts.get(id).cloned() else { return Put::Kept };
        match self.backend.run(Op::Put(incident, entries)).await {
            Ok(answer) => {
                self.backlog.puts.remove(id);
                self.failures = 0;
                if let Answer::Put(put) = answer { put } else { Put::Kept }
            }
            Err(_) => {
                self.failed();
                Put::Late
            }
        }
    }

    async fn write_notes(&mut self) {
        if self.backlog.delivered.is_empty() && self.backlog.tried.is_empty() {
            return;
        }
        let delivered = self.backlog.delivered.iter().copied().collect();
        let tried = self.backlog.tried.iter().map(|(id, (tries, due))| (*id, *tries, *due)).collect();
        if self.backend.run(Op::Settle { delivered, tried }).await.is_ok() {
            self.backlog.delivered.clear();
            self.backlog.tried.clear();
        } else {
            self.failed();
        }
    }

    async fn write_looks(&mut self) {
        self.write_samples().await;
        let rows = self.shared.looks().drain(self.clock.now());
        if rows.is_empty() {
            return;
        }
        if self.not_before.is_some() || self.backend.run(Op::Looks(rows.clone())).await.is_err() {
            self.shared.looks().waiting.put_back(rows);
            if self.not_before.is_none() {
                self.failed();
            }
        }
        let lost = self.shared.looks().waiting.take_lost();
        self.count(lost);
    }

    async fn write_samples(&mut self) {
        let rows = self.shared.samples().drain(self.clock.now());
        if rows.is_empty() {
            return;
        }
        if self.not_before.is_some() || self.backend.run(Op::Samples(rows.clone())).await.is_err() {
            self.shared.samples().waiting.put_back(rows);
            if self.not_before.is_none() {
                self.failed();
            }
        }
        let lost = self.shared.samples().waiting.take_lost();
        self.count(lost);
    }

    async fn prune(&mut self) {
        if self.not_before.is_some() {
            return;
        }
        match self.backend.run(Op::Prune(self.clock.now())).await {
            Ok(Answer::Size(bytes)) => self.board.state().own.store_bytes = bytes,
            Ok(_) => {}
            Err(_) => self.failed(),
        }
    }

    async fn renew(&mut self) {
        if self.not_before.is_some() || !self.backend.is_shared() {
            return;
        }
        match self.backend.run(Op::Renew).await {
            Ok(Answer::Fell(Fell { services, entries, incidents })) => {
                let mut fell = self.shared.fell();
                fell.services.extend(services);
                fell.entries.extend(entries);
                fell.incidents.extend(incidents);
            }
            Ok(_) => {}
            Err(_) => self.failed(),
        }
    }

    /// The store did not do it: it is left alone for a moment.
    fn failed(&mut self) {
        self.count(1);
        let wait = RETRY.saturating_mul(1 << self.failures.min(6)).min(RETRY_MOST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + wait);
    }

    fn count(&self, failures: u64) {
        if failures > 0 {
            self.board.state().own.store_failures += failures;
        }
    }
}
