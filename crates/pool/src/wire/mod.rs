//! What is known of a connection without asking: its place in the protocol, read off the bytes that pass.
//!
//! `tokio-postgres` does not say whether a transaction is open or a query in flight. The bytes do: every
//! ReadyForQuery carries the transaction status, every Sync, Query and FunctionCall will be answered by one. A
//! [`Wire`] is that knowledge; [`crate::connect::Stream`] fills it in, [`crate::driver`] says when it is settled.
//! So a clean connection is known to be clean for the price of one atomic load, with no round trip.
//!
//! Not in here: what is done about a connection that is not clean (`clean`).

mod backend;
mod frontend;

pub(crate) use backend::Incoming;
pub(crate) use frontend::Outgoing;

use crate::conn::Conn;
use crate::reason::Stage;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use tokio::time::Instant;

/// The driver has been woken and has not run since: something may be in its queue.
const WOKEN: u8 = 1;
/// The driver runs just now.
const RUNNING: u8 = 2;
/// When the driver last ran to its end, all was answered and no transaction was open.
const CLEAN: u8 = 4;
/// A connection that came back waits here for the driver to settle.
const PARKED: u8 = 8;

/// What passes over one connection, as far as the pool needs to know.
#[derive(Debug)]
pub(crate) struct Wire {
    phase: AtomicU8,
    stage: AtomicU8,
    /// Transaction status of the last ReadyForQuery: `I`, `T`, `E`; 0 before the first.
    status: AtomicU8,
    /// Sync, Query and FunctionCall messages that went out.
    sent: AtomicU32,
    /// The last of them that may have changed anything; closing a statement does not.
    telling: AtomicU32,
    /// ReadyForQuery messages that came back.
    answered: AtomicU32,
    copying: AtomicBool,
    /// Bytes that the socket would not take.
    blocked: AtomicBool,
    /// The last read found nothing more to read: nothing is held back for a reader that does not read.
    drained: AtomicBool,
    listened: AtomicBool,
    dead: AtomicBool,
    pub(crate) process_id: AtomicI32,
    pub(crate) secret_key: AtomicI32,
    /// When the server was last heard, in ms since `epoch`; 0: never.
    heard: AtomicU64,
    epoch: Instant,
    parked: Mutex<Option<Box<Conn>>>,
    task: Mutex<Option<Waker>>,
}

impl Wire {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            phase: AtomicU8::new(WOKEN),
            stage: AtomicU8::new(Stage::Connect as u8),
            status: AtomicU8::new(0),
            sent: AtomicU32::new(0),
            telling: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            copying: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            listened: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            process_id: AtomicI32::new(0),
            secret_key: AtomicI32::new(0),
            heard: AtomicU64::new(0),
            epoch,
            parked: Mutex::new(None),
            task: Mutex::new(None),
        }
    }

    /// How far the way in has come.
    pub(crate) fn stage(&self) -> Stage {
        Stage::from_index(self.stage.load(Acquire))
    }

    pub(crate) fn reached(&self, stage: Stage) {
        self.stage.store(stage as u8, Release);
    }

    /// True where every request that may have changed something was answered and no transaction is open, as of the bytes that
    /// have passed. What has not been sent yet, or is held back for a reader, is not known here; behind the answer to a fence
    /// there is no such thing.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.status.load(Acquire) == b'I'
            && self.answered.load(Acquire).wrapping_sub(self.telling.load(Acquire)).cast_signed() >= 0
            && !self.copying.load(Relaxed)
            && !self.listened.load(Acquire)
    }

    /// The same, and nothing is unsent or held back. Only the driver's word, when it has run to its end.
    fn is_quiet(&self) -> bool {
        self.is_at_rest() && !self.blocked.load(Relaxed) && self.drained.load(Relaxed)
    }

    /// True where a connection that was given back as clean may have become otherwise since: a request of its last holder
    /// was on its way then.
    pub(crate) fn is_doubtful(&self) -> bool {
        let phase = self.phase.load(Acquire);
        let in_motion = phase & (WOKEN | RUNNING) != 0;
        self.is_dead() || (phase != CLEAN && !(in_motion && self.is_at_rest()))
    }

    /// True where the last ReadyForQuery said that a transaction is open, or has failed and waits for its end.
    pub(crate) fn in_transaction(&self) -> bool {
        matches!(self.status.load(Acquire), b'T' | b'E')
    }

    /// True where every request that went out was answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Acquire) == self.sent.load(Acquire)
    }

    /// True where LISTEN was used, and not yet undone.
    pub(crate) fn has_listened(&self) -> bool {
        self.listened.load(Acquire)
    }

    pub(crate) fn unlistened(&self) {
        self.listened.store(false, Release);
    }

    /// True where the connection is known to be clean and nothing is under way: one atomic load.
    pub(crate) fn is_clean(&self) -> bool {
        self.phase.load(Acquire) == CLEAN
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Acquire)
    }

    /// When the server was last heard.
    pub(crate) fn heard(&self) -> Option<Instant> {
        match self.heard.load(Relaxed) {
            0 => None,
            ms => Some(self.epoch + std::time::Duration::from_millis(ms)),
        }
    }

    fn hear(&self) {
        let ms = Instant::now().duration_since(self.epoch).as_millis();
        self.heard.store(u64::try_from(ms).unwrap_or(u64::MAX).max(1), Relaxed);
    }

    pub(crate) fn wrote(&self, blocked: bool) {
        if self.blocked.load(Relaxed) != blocked {
            self.blocked.store(blocked, Relaxed);
        }
    }

    pub(crate) fn read(&self, drained: bool) {
        self.drained.store(drained, Relaxed);
        if !drained {
            self.hear();
        }
    }

    /// Puts a connection that came back aside until the driver has settled. Gives it back where the driver is gone.
    pub(crate) fn park(&self, conn: Box<Conn>) -> Option<Box<Conn>> {
        *self.parked.lock().unwrap_or_else(PoisonError::into_inner) = Some(conn);
        self.phase.fetch_or(PARKED, AcqRel);
        if self.is_dead() {
            return self.take_parked();
        }
        self.wake();
        None
    }

    fn take_parked(&self) -> Option<Box<Conn>> {
        self.phase.fetch_and(!PARKED, AcqRel);
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The driver begins to run. `task` is who must be woken for it.
    pub(crate) fn begin(&self, task: &Waker) {
        {
            let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
                *known = Some(task.clone());
            }
        }
        let _ = self.phase.fetch_update(AcqRel, Acquire, |phase| Some((phase & PARKED) | RUNNING));
    }

    /// The driver has run to its end. Gives the connection that waited for it, and whether that is clean.
    pub(crate) fn end(&self) -> Option<(Box<Conn>, bool)> {
        let clean = self.is_quiet();
        let mark = if clean { CLEAN } else { 0 };
        let before =
            self.phase.fetch_update(AcqRel, Acquire, |phase| Some((phase & (PARKED | WOKEN)) | mark));
        let before = before.unwrap_or_else(|phase| phase);
        // Woken in the meantime: it will run again, and knows more then.
        if before & PARKED == 0 || before & WOKEN != 0 {
            return None;
        }
        self.take_parked().map(|conn| (conn, clean))
    }

    /// The driver is gone. Gives the connection that waited for it.
    pub(crate) fn over(&self) -> Option<Box<Conn>> {
        self.dead.store(true, Release);
        self.take_parked()
    }

    /// Wakes the driver.
    pub(crate) fn wake(&self) {
        self.phase.fetch_or(WOKEN, AcqRel);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.as_ref() {
            task.wake_by_ref();
        }
    }
}

/// What the driver's connection is polled with: it notes that it was woken before it wakes.
#[derive(Debug)]
pub(crate) struct Noting(pub(crate) std::sync::Arc<Wire>);

impl std::task::Wake for Noting {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.wake();
    }
}
