//! A file that could not be opened, for its disk was full or away: tried again while memory stands in for it, and then gone on
//! with. Not in here: opening it (`sqlite`), and what memory holds (`sqlite::moved`).

use super::Keep;
use super::backend::Backend;
use super::entry::StoreError;
use super::op::{Answer, Fell, Op};
use super::sqlite::{Said, Thread};
use super::worker::Worker;
use crate::alerts::Entry;
use crate::incidents::Incidents;
use pgmedic_model::Ms;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// From one attempt to the next.
const AGAIN: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };

/// A file that is tried again.
#[derive(Debug)]
pub(super) struct Later {
    path: PathBuf,
    keep: Keep,
    said: Said,
    at: Instant,
    /// One attempt is under way: a disk that hangs holds nothing else up.
    opening: Option<oneshot::Receiver<Result<Thread, StoreError>>>,
    /// Why it failed last: each reason is said once.
    why: String,
}

impl Later {
    pub(super) fn new(path: PathBuf, keep: Keep, said: Said) -> Self {
        Self { path, keep, said, at: Instant::now() + AGAIN, opening: None, why: String::new() }
    }

    /// When to look after it.
    pub(super) const fn due(&self) -> Instant {
        self.at
    }

    /// The file, where it is open by now.
    fn opened(&mut self) -> Option<Thread> {
        self.at = Instant::now() + AGAIN;
        let Some(opening) = &mut self.opening else {
            let (tell, told) = oneshot::channel();
            let (path, keep, said) = (self.path.clone(), self.keep.clone(), Arc::clone(&self.said));
            tokio::spawn(async move {
                // The worker has ended: the file is closed with what is dropped here.
                let _gone = tell.send(Thread::open(path, keep, said).await);
            });
            self.opening = Some(told);
            return None;
        };
        let opened = match opening.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => return None,
            opened => opened,
        };
        self.opening = None;
        match opened.ok()? {
            Ok(thread) => Some(thread),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&mut self, error: &dyn std::fmt::Display) {
        let why = error.to_string();
        if self.why != why {
            self.say(format!("the store {} cannot be had yet: {why}", self.path.display()));
            self.why = why;
        }
    }

    fn say(&self, words: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

impl Worker {
    /// Looks whether the file can be had by now, and goes on with it.
    pub(super) async fn try_later(&mut self) {
        let Some(later) = &mut self.later else { return };
        let Some(thread) = later.opened() else { return };
        let Backend::Here(book) = &self.backend else { return };
        let since = self.clock.now().plus(Ms(-Ms::from(Incidents::SAME).0));
        let holds = match book.holds() {
            Ok(holds) => holds,
            Err(error) => return later.failed(&error),
        };
        match moved(holds, &thread, Op::Restore(since)).await {
            Ok(fell) => {
                later.say(format!(
                    "the store {} is opened: what was in memory is in it now",
                    later.path.display()
                ));
                let mut before = self.shared.fell();
                before.incidents.extend(fell.incidents);
                before.entries.extend(fell.entries);
                drop(before);
                self.backend = Backend::Own(thread);
                self.later = None;
            }
            // What it took it takes once more.
            Err(error) => {
                later.failed(&error);
                thread.close().await;
            }
        }
    }
}

/// Has a file keep what memory holds. Gives what it had before: that is gone on with.
async fn moved(holds: Vec<Op>, file: &Thread, restore: Op) -> Result<Fell, StoreError> {
    let Answer::Incidents(incidents) = file.run(restore).await? else {
        return Err(StoreError::Closed);
    };
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(i64::MIN, |entry| entry.id);
        match file.run(Op::Pending { after, limit: 500 }).await? {
            Answer::Entries(page) if !page.is_empty() => entries.extend(page),
            _ => break,
        }
    }
    for op in holds {
        file.run(op).await?;
    }
    Ok(Fell { services: Vec::new(), entries, incidents })
}
