//! Opening connections in the background, and the one probe that looks whether a database is back.
//!
//! An opening belongs to nobody: a caller that goes away loses it for no one, and what it brings goes to whoever waits
//! longest. Not in here: the stages of one opening (`connect`), and what its failure means (`trouble`).

use crate::conn::Conn;
use crate::connect::Fresh;
use crate::driver::Driver;
use crate::event::Event;
use crate::inner::Inner;
use crate::jitter;
use crate::metrics::Discard;
use crate::progress::Progress;
use crate::queue::Given;
use crate::reason::{Attempt, Reason, Stage, Verdict};
use crate::state::Slot;
use crate::trouble::{Report, Trouble};
use pgmedic_model::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// After trouble, each opening begins up to so much later: many instances come back at once.
const STAGGER: Duration = Duration::from_millis(50);

impl Inner {
    /// Begins openings that stand in the table.
    pub(crate) fn open_each(self: &Arc<Self>, begun: Vec<Arc<Progress>>) {
        for progress in begun {
            let entry = Entry { pool: Arc::downgrade(self), progress: Some(progress) };
            let ramping = self.state().ramp.is_some();
            let delay = if ramping { jitter::up_to(STAGGER) } else { Duration::ZERO };
            self.runtime.spawn(async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                entry.run(None).await;
            });
        }
    }

    /// Takes in what an opening brought.
    fn adopt(self: &Arc<Self>, progress: &Arc<Progress>, mut conn: Box<Conn>) {
        let now = Instant::now();
        let took = now.duration_since(progress.begun);
        let expires = self.options.max_lifetime.map(|age| now + age - jitter::up_to(age / 10));
        let mut state = self.state();
        state.ended(progress);
        if state.closed || conn.wire.is_dead() {
            let closed = state.closed;
            drop(state);
            self.freed.notify_waiters();
            if !closed {
                self.failed(progress, vec![attempt_at(&conn, Reason::Closed)]);
            }
            return;
        }
        // After trouble it is the proof that the server is back, and may serve once.
        if progress.stale.load(Relaxed) && state.trouble.is_none() {
            let begun = state.grow(self.options.max, 0);
            drop(state);
            drop(conn);
            self.counts.connected(took);
            self.freed.notify_waiters();
            return self.open_each(begun);
        }
        let up = state.trouble.take();
        state.ramp = match (&up, state.ramp) {
            (Some(_), _) => Some(1),
            (None, Some(ramp)) if ramp * 2 < self.options.max => Some(ramp * 2),
            _ => None,
        };
        let (id, wire) = (conn.id, Arc::clone(&conn.wire));
        conn.slot = state.insert(Slot { id, wire, expires, out: None });
        let waker = state.lay_by(conn, now);
        let begun = state.grow(self.options.max, 0);
        drop(state);
        self.counts.connected(took);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(trouble) = up {
            let Report { since, tries, .. } = *trouble.report;
            self.tell(&Event::Up { after: now.duration_since(since), tries });
        }
        self.open_each(begun);
    }

    /// An opening failed: those who wait are told, unless there is something to wait for; and one probe begins.
    fn failed(self: &Arc<Self>, progress: &Arc<Progress>, attempts: Vec<Attempt>) {
        self.counts.failed(&attempts);
        let now = Instant::now();
        let mut state = self.state();
        state.ended(progress);
        if state.closed {
            return;
        }
        let before = state.trouble.take();
        let trouble = Trouble::after(before.as_ref(), attempts, progress.begun, now);
        let report = Arc::clone(&trouble.report);
        state.trouble = Some(trouble);
        let wakers = if state.is_hopeless(now) {
            state.queue.give_all(|| Given::Down(Arc::clone(&report)))
        } else {
            Vec::new()
        };
        let probe = !std::mem::replace(&mut state.probing, true);
        drop(state);
        for waker in wakers {
            waker.wake();
        }
        let was = before.as_ref().map(|trouble| trouble.report.verdict);
        if report.verdict != Verdict::Full && was.is_none_or(|was| was == Verdict::Full) {
            self.tell(&Event::Down { attempts: report.attempts.clone() });
        }
        if probe {
            let probe = Probe(Arc::downgrade(self));
            self.runtime.spawn(probe.run(Instant::now() - progress.begun));
        }
    }
}

/// An opening under way. However its task ends, also with its runtime, the table learns of it.
struct Entry {
    pool: Weak<Inner>,
    progress: Option<Arc<Progress>>,
}

impl Entry {
    async fn run(mut self, knock: Option<Duration>) {
        let Some(pool) = self.pool.upgrade() else { return };
        let Some(progress) = self.progress.clone() else { return };
        let deadline = Instant::now() + pool.options.connect_timeout;
        let (connector, epoch) = (Arc::clone(&pool.connector), pool.epoch);
        // A pool that is let go of meanwhile is not held by what it began.
        drop(pool);
        let fresh = connector.open(&progress, deadline, knock, epoch).await;
        let Some(pool) = self.pool.upgrade() else { return };
        let conn = match fresh {
            Some(fresh) => prepare(&pool, fresh, &progress, deadline).await,
            None => None,
        };
        self.progress = None;
        match conn {
            Some(conn) => pool.adopt(&progress, conn),
            None => pool.failed(&progress, progress.attempts()),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let (Some(progress), Some(pool)) = (self.progress.take(), self.pool.upgrade()) {
            let (stage, mut attempts) = progress.so_far();
            attempts.push(unplaced(stage, Reason::RuntimeGone));
            pool.failed(&progress, attempts);
        }
    }
}

/// Starts a new connection's driver, and runs the API's hook on it.
async fn prepare(
    pool: &Arc<Inner>,
    fresh: Fresh,
    progress: &Progress,
    deadline: Instant,
) -> Option<Box<Conn>> {
    let Fresh { client, drive, wire, place } = fresh;
    let id = pool.ids.fetch_add(1, Relaxed);
    let driver = Driver::new(drive, &wire, Arc::downgrade(pool), id, pool.options.on_message.clone());
    let driver = pool.runtime.spawn(driver).abort_handle();
    let statements = Mutex::new(HashMap::new());
    let conn = Box::new(Conn { client, wire, id, slot: usize::MAX, place, statements, driver });
    let Some(hook) = &pool.options.on_connect else { return Some(conn) };
    match tokio::time::timeout_at(deadline, hook(&conn.client)).await {
        Ok(Ok(())) if !conn.wire.in_transaction() => Some(conn),
        Ok(Ok(())) => {
            let why = "it leaves a transaction open".to_owned();
            progress.failed(Stage::Admission, Reason::Hook(why))
        }
        Ok(Err(e)) => {
            let why = Reason::of_driver(&e, Stage::Admission);
            progress.failed(Stage::Admission, Reason::Hook(why.to_string()))
        }
        Err(_) => {
            conn.driver.abort();
            progress.ran_out(Stage::Admission)
        }
    }
}

/// The one who looks whether the database is back.
struct Probe(Weak<Inner>);

impl Probe {
    async fn run(self, mut took: Duration) {
        loop {
            let Some(pool) = self.0.upgrade() else { return };
            let Some(pause) = pool.state().trouble.as_ref().map(|trouble| trouble.pause(took)) else {
                break;
            };
            drop(pool);
            tokio::time::sleep(pause).await;
            let Some(pool) = self.0.upgrade() else { return };
            let Some((progress, knock)) = pool.look() else { break };
            drop(pool);
            let begun = Instant::now();
            Entry { pool: self.0.clone(), progress: Some(progress) }.run(knock).await;
            took = begun.elapsed();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.state().probing = false;
        }
    }
}

impl Inner {
    /// Enters a probe's opening in the table, while there is trouble.
    fn look(&self) -> Option<(Arc<Progress>, Option<Duration>)> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let knock = state.trouble.as_ref()?.knock();
        if state.size() + state.openings.len() >= self.options.max {
            // Every place is taken: whoever needed one more has what it needs, or will have it from them.
            state.trouble = None;
            return None;
        }
        let progress = Arc::new(Progress::new());
        state.openings.push(Arc::clone(&progress));
        Some((progress, knock))
    }

    /// Closes what idles, for `why`.
    pub(crate) fn discard_each(self: &Arc<Self>, idle: Vec<(Box<Conn>, Discard)>) {
        for (conn, why) in idle {
            self.discard(conn, why);
        }
    }
}

fn attempt_at(conn: &Conn, reason: Reason) -> Attempt {
    Attempt { address: conn.place.endpoint.to_string(), ..unplaced(Stage::Admission, reason) }
}

fn unplaced(stage: Stage, reason: Reason) -> Attempt {
    let at = Timestamp::from_system(SystemTime::now());
    Attempt { address: "the pool".to_owned(), stage, reason, at, elapsed: Duration::ZERO }
}
