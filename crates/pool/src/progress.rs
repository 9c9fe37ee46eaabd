//! How far the opening of one connection has come, for whoever runs out of time meanwhile.
//!
//! Not in here: the opening itself (`connect`).

use crate::reason::{Attempt, Reason, Stage};
use crate::wire::Wire;
use pgmedic_model::Timestamp;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::time::Instant;

/// Attempts kept of one opening: a name with many addresses must not grow an error without bound.
const MOST: usize = 8;

/// One opening: every address of every host in turn.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) begun: Instant,
    /// The pool was renewed since: what it brings is of before.
    pub(crate) stale: AtomicBool,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    address: String,
    stage: Stage,
    since: Instant,
    wire: Option<Arc<Wire>>,
    failed: Vec<Attempt>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let begun = Instant::now();
        let now =
            Now { address: String::new(), stage: Stage::Dns, since: begun, wire: None, failed: Vec::new() };
        Self { begun, stale: AtomicBool::new(false), now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins.
    pub(crate) fn begin(&self, address: &str, stage: Stage) {
        let mut now = self.now();
        now.address.clear();
        now.address.push_str(address);
        now.stage = stage;
        now.since = Instant::now();
        now.wire = None;
    }

    /// From here on the wire knows the stage.
    pub(crate) fn follow(&self, wire: &Arc<Wire>) {
        self.now().wire = Some(Arc::clone(wire));
    }

    /// The attempt failed.
    pub(crate) fn failed<T>(&self, stage: Stage, reason: Reason) -> Option<T> {
        let mut now = self.now();
        let attempt = now.as_failed(stage, reason);
        now.failed.push(attempt);
        if now.failed.len() > MOST {
            now.failed.remove(0);
        }
        None
    }

    /// The attempt had no more time.
    pub(crate) fn ran_out<T>(&self, stage: Stage) -> Option<T> {
        let elapsed = self.now().since.elapsed();
        self.failed(stage, Reason::TimedOut(elapsed))
    }

    /// The attempts that failed.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.now().failed.clone()
    }

    /// The stage just now, the attempts that failed, and the one that is under way as if it had run out.
    pub(crate) fn so_far(&self) -> (Stage, Vec<Attempt>) {
        let now = self.now();
        let stage = now.wire.as_ref().map_or(now.stage, |wire| wire.stage());
        let mut attempts = now.failed.clone();
        if !now.address.is_empty() {
            attempts.push(now.as_failed(stage, Reason::TimedOut(now.since.elapsed())));
        }
        (stage, attempts)
    }
}

impl Now {
    fn as_failed(&self, stage: Stage, reason: Reason) -> Attempt {
        let at = Timestamp::from_system(SystemTime::now());
        Attempt { address: self.address.clone(), stage, reason, at, elapsed: self.since.elapsed() }
    }
}
