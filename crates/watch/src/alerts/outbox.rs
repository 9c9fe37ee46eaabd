//! What is still to be told, kept where a kill -9 does not lose it: the trait that a store fulfils, and one in memory that
//! does the same for as long as the process lives. What an entry says is in `body`, which nobody but `alerts` reads.

use pgmedic_model::Timestamp;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One thing that one receiver has to be told of one incident. No column of it holds a secret: URLs and keys are in the
/// configuration alone, and an entry finds its receiver by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id, unique in an outbox, greater than those before it. The order in which a receiver is told of an incident.
    pub id: i64,
    /// The receiver's name: its kind and host, `alertmanager@am-1:9093`.
    pub receiver: String,
    /// The incident's id.
    pub incident: String,
    /// When it was put in.
    pub put_at: Timestamp,
    /// Not to be tried before.
    pub due: Timestamp,
    /// Attempts so far that did not come to an end.
    pub tries: u32,
    /// What it says, in JSON of a few kilobytes.
    pub body: String,
}

/// An outbox could not be read or written. Says why, without a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the alert outbox: {0}")]
pub struct OutboxError(pub String);

/// What an outbox gives back.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, OutboxError>> + Send + 'a>>;

/// Where entries are kept until they are delivered. One outbox belongs to one daemon.
///
/// A store may write the entries of [`crate::alerts::Alerts::entries`] in the same transaction as the incident; then neither
/// can be lost without the other. It does the same as [`Outbox::put`] for them.
pub trait Outbox: Send + Sync {
    /// Keeps entries, all or none. One that is there already under its id is replaced.
    fn put(&self, entries: Vec<Entry>) -> Kept<'_, ()>;
    /// The entries with ids greater than `after`, by id, at most `limit` of them. Whether they are due is for the caller.
    fn pending(&self, after: i64, limit: usize) -> Kept<'_, Vec<Entry>>;
    /// Drops entries: delivered, overtaken by a newer one, or given up. Ids that are not there are no error.
    fn delivered(&self, ids: Vec<i64>) -> Kept<'_, ()>;
    /// Notes how often an entry was tried, and when it is to be tried next. An id that is not there is no error.
    fn failed(&self, id: i64, tries: u32, due: Timestamp) -> Kept<'_, ()>;
}

/// An outbox for as long as the process lives.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<BTreeMap<i64, Entry>>);

impl InMemory {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<i64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for InMemory {
    fn put(&self, entries: Vec<Entry>) -> Kept<'_, ()> {
        self.entries().extend(entries.into_iter().map(|entry| (entry.id, entry)));
        Box::pin(std::future::ready(Ok(())))
    }

    fn pending(&self, after: i64, limit: usize) -> Kept<'_, Vec<Entry>> {
        let entries = self.entries();
        let found = entries.values().filter(|entry| entry.id > after).take(limit).cloned().collect();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn delivered(&self, ids: Vec<i64>) -> Kept<'_, ()> {
        let mut entries = self.entries();
        for id in ids {
            entries.remove(&id);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn failed(&self, id: i64, tries: u32, due: Timestamp) -> Kept<'_, ()> {
        if let Some(entry) = self.entries().get_mut(&id) {
            entry.tries = tries;
            entry.due = due;
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
