//! The two kinds of store behind one face. Memory is SQLite's.

use super::entry::StoreError;
use super::op::{Answer, Op};
use super::postgres::Shared;
use super::sqlite::{Book, Thread};
use std::collections::BTreeSet;

/// Where things are kept.
#[derive(Debug)]
pub(super) enum Backend {
    /// A file of this watcher's own.
    Own(Thread),
    /// In memory: nothing waits for a disk, and so no thread is needed.
    Here(Box<Book>),
    /// A Postgres that several watchers share.
    Shared(Box<Shared>),
}

impl Backend {
    /// Does one thing, within a bounded time.
    pub(super) async fn run(&mut self, op: Op) -> Result<Answer, StoreError> {
        match self {
            Self::Own(thread) => thread.run(op).await,
            Self::Here(book) => book.run(op),
            Self::Shared(shared) => shared.run(op).await,
        }
    }

    /// What of these services nobody speaks for falls to this watcher.
    pub(super) fn watch(&mut self, services: BTreeSet<String>) {
        if let Self::Shared(shared) = self {
            shared.watch(services);
        }
    }

    /// Closes it.
    pub(super) async fn close(self) {
        match self {
            Self::Own(thread) => thread.close().await,
            Self::Here(_) | Self::Shared(_) => {}
        }
    }

    /// Several watchers may have it.
    pub(super) const fn is_shared(&self) -> bool {
        match self {
            Self::Own(_) | Self::Here(_) => false,
            Self::Shared(_) => true,
        }
    }
}
