//! The pool's heart: taking a connection, waiting for one, giving it back.
//!
//! Not in here: opening them (`opening`), cleaning them (`clean`), and what goes on by itself (`keep`).

use crate::builder::{Options, Recycle};
use crate::conn::Conn;
use crate::connect::Connector;
use crate::error::{GetError, Why};
use crate::event::Event;
use crate::metrics::{Counts, Discard};
use crate::object::Object;
use crate::queue::Given;
use crate::reason::{Reason, Stage, Verdict};
use crate::state::{Idle, PoolState, State};
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// Everything that a pool is.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) connector: Arc<Connector>,
    pub(crate) runtime: Handle,
    pub(crate) epoch: Instant,
    state: Mutex<State>,
    pub(crate) counts: Counts,
    pub(crate) ids: AtomicU64,
    /// A slot became free.
    pub(crate) freed: Notify,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("max", &self.max).finish_non_exhaustive()
    }
}

/// What a caller gets at once.
enum Take {
    Conn(Box<Conn>, bool),
    Wait(usize),
    Not(Why),
}

impl Inner {
    pub(crate) fn start(options: Options, connector: Connector, runtime: Handle) -> Arc<Self> {
        let inner = Arc::new(Self {
            options,
            connector: Arc::new(connector),
            runtime: runtime.clone(),
            epoch: Instant::now(),
            state: Mutex::default(),
            counts: Counts::new(),
            ids: AtomicU64::new(1),
            freed: Notify::new(),
        });
        runtime.spawn(crate::keep::keep(Arc::downgrade(&inner)));
        inner
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> PoolState {
        self.state().snapshot(self.options.max, Instant::now())
    }

    pub(crate) fn tell(&self, event: &Event) {
        if let Some(hook) = &self.options.on_event {
            hook(event);
        }
    }

    /// A connection for `place`, within `budget`.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        place: &'static Location<'static>,
        budget: Duration,
    ) -> Result<Object, GetError> {
        let begun = Instant::now();
        let mut again = false;
        loop {
            let (conn, doubtful) = match self.take(place, again) {
                Take::Conn(conn, doubtful) => (conn, doubtful),
                Take::Wait(key) => self.wait(key, begun, budget).await?,
                Take::Not(why) => return Err(self.explain(why, begun, budget)),
            };
            let object = Object::of(conn, self);
            if !doubtful {
                self.counts.acquired(begun.elapsed());
                return Ok(object);
            }
            match self.test(object, begun, budget).await {
                Ok(object) => {
                    self.counts.acquired(begun.elapsed());
                    return Ok(object);
                }
                Err(Some(why)) => return Err(self.explain(why, begun, budget)),
                Err(None) => again = true,
            }
        }
    }

    /// One that idles, or a place in the queue, or why neither.
    fn take(self: &Arc<Self>, place: &'static Location<'static>, again: bool) -> Take {
        let now = Instant::now();
        let mut spent = Vec::new();
        let mut state = self.state();
        if state.closed {
            return Take::Not(Why::Closed);
        }
        // Whoever waits already goes first; but whoever waits does so because nothing idles.
        while let Some(Idle { conn, since }) = state.idle.pop() {
            if conn.wire.is_dead() {
                // Its driver is about to say so, and frees the slot.
                spent.push(conn);
                continue;
            }
            state.check_out(&conn, place, now);
            drop(state);
            let silent = |after: Duration| now.duration_since(since) >= after;
            let doubtful = conn.wire.is_doubtful() || self.options.test_after.is_some_and(silent);
            return Take::Conn(conn, doubtful);
        }
        if state.is_hopeless(now)
            && let Some(trouble) = &state.trouble
        {
            return Take::Not(Why::Down(Arc::clone(&trouble.report)));
        }
        let key = if again { state.queue.join_again(place) } else { state.queue.join(place) };
        let begun = state.grow(self.options.max, 0);
        drop(state);
        self.open_each(begun);
        Take::Wait(key)
    }

    /// Waits in the queue. Whoever leaves it early gives back what was given meanwhile.
    async fn wait(
        self: &Arc<Self>,
        key: usize,
        begun: Instant,
        budget: Duration,
    ) -> Result<(Box<Conn>, bool), GetError> {
        let mut waiting = Waiting { inner: self, key: Some(key) };
        let sleep = pin!(tokio::time::sleep_until(begun + budget));
        match waiting.given(sleep).await {
            Some(Given::Conn(conn)) => {
                let doubtful = conn.wire.is_doubtful();
                Ok((conn, doubtful))
            }
            Some(Given::Down(report)) => Err(self.explain(Why::Down(report), begun, budget)),
            Some(Given::Closed) => Err(self.explain(Why::Closed, begun, budget)),
            None => {
                // The error shows the queue as it was, this caller in it.
                let error = self.ran_out(begun, budget);
                drop(waiting);
                Err(error)
            }
        }
    }

    /// The budget is used up: on what, as far as can be known.
    fn ran_out(&self, begun: Instant, budget: Duration) -> GetError {
        let now = Instant::now();
        let state = self.state();
        let mut stage = Stage::Queue;
        let mut attempts = Vec::new();
        if let Some(trouble) = &state.trouble {
            attempts.extend(trouble.report.attempts.iter().cloned());
            if trouble.report.verdict == Verdict::Full && state.size() < self.options.max {
                stage = Stage::Admission;
            }
        }
        if let Some(oldest) = state.openings.iter().min_by_key(|opening| opening.begun) {
            let (reached, so_far) = oldest.so_far();
            if state.trouble.is_none() {
                stage = reached;
            }
            attempts.extend(so_far);
        }
        let snapshot = state.snapshot(self.options.max, now);
        drop(state);
        self.counts.timed_out(stage);
        GetError::new(Why::TimedOut(stage), attempts, Some(snapshot), now - begun, budget)
    }

    pub(crate) fn explain(&self, why: Why, begun: Instant, budget: Duration) -> GetError {
        let attempts = match &why {
            Why::Down(report) => report.attempts.clone(),
            _ => Vec::new(),
        };
        if let Why::TimedOut(stage) = &why {
            self.counts.timed_out(*stage);
        }
        GetError::new(why, attempts, Some(self.snapshot()), begun.elapsed(), budget)
    }

    /// Tests a connection that is in doubt. `Err(None)`: it failed, and another may be tried.
    async fn test(&self, object: Object, begun: Instant, budget: Duration) -> Result<Object, Option<Why>> {
        let until = (begun + budget).min(Instant::now() + self.options.recycle_timeout);
        let outcome = tokio::time::timeout_at(until, crate::clean::fence(&object)).await;
        if matches!(outcome, Ok(Ok(()))) && object.is_usable() {
            return Ok(object);
        }
        object.discard_as(Discard::Recycle);
        if Instant::now() >= begun + budget { Err(Some(Why::TimedOut(Stage::Recycle))) } else { Err(None) }
    }

    /// Takes a connection back, whatever its state. What is clean is known at once; otherwise its driver says what it is.
    pub(crate) fn give_back(self: &Arc<Self>, conn: Box<Conn>) {
        let fast = self.options.recycle == Recycle::Fast;
        if conn.wire.is_dead() || (fast && conn.wire.is_clean()) {
            return self.release(conn);
        }
        let wire = Arc::clone(&conn.wire);
        if let Some(conn) = wire.park(conn) {
            self.release(conn);
        }
    }

    /// Takes a connection back that is known to be clean, or dead.
    pub(crate) fn release(self: &Arc<Self>, conn: Box<Conn>) {
        let now = Instant::now();
        let mut state = self.state();
        let why = match state.slot(&conn) {
            None => {
                drop(state);
                return;
            }
            Some(_) if conn.wire.is_dead() => Some(Discard::Lost),
            Some(_) if state.closed => Some(Discard::Closed),
            Some(slot) if slot.expires.is_some_and(|at| at <= now) => Some(Discard::Lifetime),
            Some(_) => None,
        };
        match why {
            Some(why) => {
                drop(state);
                self.discard(conn, why);
            }
            None => {
                let waker = state.lay_by(conn, now);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }

    /// Closes a connection and frees its slot for another.
    pub(crate) fn discard(self: &Arc<Self>, conn: Box<Conn>, why: Discard) {
        let mut state = self.state();
        let ours = state.remove(conn.slot, conn.id);
        let begun = state.grow(self.options.max, 0);
        drop(state);
        if ours {
            self.counts.discarded(why);
            self.freed.notify_waiters();
        }
        drop(conn);
        self.open_each(begun);
    }

    /// A driver has settled; the connection that waited for it is clean, or is to be cleaned.
    pub(crate) fn settled(self: &Arc<Self>, conn: Box<Conn>, clean: bool) {
        if clean && self.options.recycle == Recycle::Fast {
            self.release(conn);
        } else {
            self.runtime.spawn(crate::clean::clean(Arc::clone(self), conn));
        }
    }

    /// A connection ended. Its slot is free from now on, whoever still holds it.
    pub(crate) fn lost(self: &Arc<Self>, id: u64, why: Option<Reason>) {
        let mut state = self.state();
        let Some(at) = state.find(id) else { return };
        state.remove(at, id);
        let idle = state.idle.iter().position(|idle| idle.conn.id == id);
        let conn = idle.map(|idle| state.idle.remove(idle));
        let begun = state.grow(self.options.max, 0);
        drop(state);
        drop(conn);
        self.counts.discarded(Discard::Lost);
        self.freed.notify_waiters();
        let why = why.map_or_else(|| Reason::Closed.to_string(), |reason| reason.to_string());
        self.tell(&Event::Lost { why });
        self.open_each(begun);
    }
}

/// A place in the queue.
struct Waiting<'a> {
    inner: &'a Arc<Inner>,
    key: Option<usize>,
}

impl Waiting<'_> {
    /// What is given, or None where `sleep` ends first.
    async fn given(&mut self, mut sleep: std::pin::Pin<&mut Sleep>) -> Option<Given> {
        std::future::poll_fn(|cx| {
            let Some(key) = self.key else { return Poll::Ready(None) };
            if let Poll::Ready(given) = self.inner.state().queue.poll(key, cx.waker()) {
                self.key = None;
                return Poll::Ready(Some(given));
            }
            sleep.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let given = self.inner.state().queue.leave(key);
        if let Some(Given::Conn(conn)) = given {
            self.inner.give_back(conn);
        }
    }
}
