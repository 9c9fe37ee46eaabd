//! The pool's table: who has which connection, what idles, who waits. Moves between them are made here, under one lock.
//!
//! Not in here: the lock, I/O, and the errors that callers see.

use crate::conn::Conn;
use crate::progress::Progress;
use crate::queue::{Given, Queue};
use crate::trouble::Trouble;
use crate::wire::Wire;
use pgmedic_model::Ms;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

/// A connection that a caller holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkout {
    /// For how long.
    pub held: Duration,
    /// The line that asked for it.
    pub place: &'static Location<'static>,
    /// The backend's process id, as in `pg_stat_activity`; behind a pooler, the pooler's invention.
    pub backend: i32,
}

impl fmt::Display for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, place, backend) = (Ms::from(self.held), self.place, self.backend);
        write!(f, "held for {held}, taken at {}:{}, backend {backend}", place.file(), place.line())
    }
}

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolState {
    /// Connections at most.
    pub max: usize,
    /// Connections that are open: `idle` + `in_use`.
    pub size: usize,
    /// Connections that are free.
    pub idle: usize,
    /// Connections that callers hold, and those that are being cleaned after them.
    pub in_use: usize,
    /// Connections that are being opened; they take up room.
    pub opening: usize,
    /// Callers that wait.
    pub waiting: usize,
    /// The checkout that is held longest.
    pub oldest: Option<Checkout>,
}

impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max, size, idle, in_use, opening, waiting, oldest } = self;
        write!(
            f,
            "{size} of {max} open: {in_use} in use, {idle} idle; {opening} opening, {waiting} waiting"
        )?;
        oldest.as_ref().map_or(Ok(()), |oldest| write!(f, "; oldest {oldest}"))
    }
}

/// Who has a connection.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) since: Instant,
    pub(crate) place: &'static Location<'static>,
    pub(crate) reported: bool,
}

/// A connection's place in the table.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: u64,
    pub(crate) wire: Arc<Wire>,
    pub(crate) expires: Option<Instant>,
    pub(crate) out: Option<Out>,
}

/// A free connection.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) conn: Box<Conn>,
    pub(crate) since: Instant,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct State {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// The one returned last is on top and goes out first, so that those on the bottom may idle and be closed.
    pub(crate) idle: Vec<Idle>,
    pub(crate) openings: Vec<Arc<Progress>>,
    pub(crate) queue: Queue,
    pub(crate) trouble: Option<Trouble>,
    /// After trouble: so many openings at a time, doubled by each that succeeds.
    pub(crate) ramp: Option<usize>,
    pub(crate) probing: bool,
    pub(crate) closed: bool,
}

impl State {
    /// Open connections.
    pub(crate) fn size(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    pub(crate) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    /// When any of the pool's own connections last heard from the server.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.slots().filter(|slot| !slot.wire.is_dead()).filter_map(|slot| slot.wire.heard()).max()
    }

    /// True where no connection can be opened and there is nothing to wait for.
    pub(crate) fn is_hopeless(&self, now: Instant) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_hopeless(self.heard(), self.size(), now))
    }

    pub(crate) fn insert(&mut self, slot: Slot) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        }
    }

    /// Frees a connection's slot. False where that has been done.
    pub(crate) fn remove(&mut self, at: usize, id: u64) -> bool {
        let is_it = self.slots.get(at).and_then(Option::as_ref).is_some_and(|slot| slot.id == id);
        if is_it {
            self.slots[at] = None;
            self.free.push(at);
        }
        is_it
    }

    /// Where a connection's slot is.
    pub(crate) fn find(&self, id: u64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.id == id))
    }

    pub(crate) fn slot(&self, conn: &Conn) -> Option<&Slot> {
        self.slots.get(conn.slot).and_then(Option::as_ref).filter(|slot| slot.id == conn.id)
    }

    fn slot_mut(&mut self, conn: &Conn) -> Option<&mut Slot> {
        self.slots.get_mut(conn.slot).and_then(Option::as_mut).filter(|slot| slot.id == conn.id)
    }

    /// Notes who has a connection.
    pub(crate) fn check_out(&mut self, conn: &Conn, place: &'static Location<'static>, since: Instant) {
        if let Some(slot) = self.slot_mut(conn) {
            slot.out = Some(Out { since, place, reported: false });
        }
    }

    /// Gives a usable connection to whoever waits longest, or lays it by. Gives whom to wake.
    pub(crate) fn lay_by(&mut self, conn: Box<Conn>, now: Instant) -> Option<Waker> {
        if let Some((key, place)) = self.queue.first() {
            self.check_out(&conn, place, now);
            return self.queue.give(key, Given::Conn(conn));
        }
        if let Some(slot) = self.slot_mut(&conn) {
            slot.out = None;
        }
        self.idle.push(Idle { conn, since: now });
        None
    }

    /// Openings to begin now, each entered in the table: one for each who waits and has none under way, `spare` more, as
    /// far as there is room.
    pub(crate) fn grow(&mut self, max: usize, spare: usize) -> Vec<Arc<Progress>> {
        if self.closed || self.trouble.is_some() {
            return Vec::new();
        }
        let under_way = self.openings.len();
        let room = max.saturating_sub(self.size() + under_way);
        let ramp = self.ramp.map_or(usize::MAX, |ramp| ramp.saturating_sub(under_way));
        let wanted = (self.queue.len() + spare).saturating_sub(under_way);
        let begun: Vec<_> = (0..wanted.min(room).min(ramp)).map(|_| Arc::new(Progress::new())).collect();
        self.openings.extend(begun.iter().cloned());
        begun
    }

    /// Strikes an opening off.
    pub(crate) fn ended(&mut self, progress: &Arc<Progress>) {
        self.openings.retain(|other| !Arc::ptr_eq(other, progress));
    }

    pub(crate) fn snapshot(&self, max: usize, now: Instant) -> PoolState {
        let (size, idle) = (self.size(), self.idle.len());
        let oldest = self.slots().filter_map(|slot| slot.out.as_ref().map(|out| (out, slot)));
        let oldest = oldest.min_by_key(|(out, _)| out.since).map(|(out, slot)| slot.checkout(out, now));
        PoolState {
            max,
            size,
            idle,
            in_use: size.saturating_sub(idle),
            opening: self.openings.len(),
            waiting: self.queue.len(),
            oldest,
        }
    }
}

impl Slot {
    pub(crate) fn checkout(&self, out: &Out, now: Instant) -> Checkout {
        Checkout {
            held: now.duration_since(out.since),
            place: out.place,
            backend: self.wire.process_id.load(Relaxed),
        }
    }
}
