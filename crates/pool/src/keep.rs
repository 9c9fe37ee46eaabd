//! What goes on by itself: closing what idles or has grown old, keeping some ready, reporting leaks.
//!
//! The task holds the pool weakly and ends with it. Not in here: the probe for a database that is back (`opening`).

use crate::event::Event;
use crate::inner::Inner;
use crate::metrics::Discard;
use crate::state::{Checkout, State};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Looks no further apart than this, so that a leak is reported within a second of its threshold.
const SLOWEST: Duration = Duration::from_secs(1);
const FASTEST: Duration = Duration::from_millis(10);

pub(crate) async fn keep(pool: Weak<Inner>) {
    let Some(every) = pool.upgrade().map(|pool| pace(&pool)) else { return };
    loop {
        let Some(pool_now) = pool.upgrade() else { return };
        if !round(&pool_now) {
            return;
        }
        drop(pool_now);
        tokio::time::sleep(every).await;
    }
}

/// A quarter of the shortest time that is kept.
fn pace(pool: &Inner) -> Duration {
    let options = &pool.options;
    let times = [options.idle_timeout, options.max_lifetime, options.leak_after];
    times.into_iter().flatten().min().map_or(SLOWEST, |time| (time / 4).clamp(FASTEST, SLOWEST))
}

/// One round. False where the pool is closed.
fn round(pool: &Arc<Inner>) -> bool {
    let now = Instant::now();
    let options = &pool.options;
    let mut state = pool.state();
    if state.closed {
        return false;
    }
    let mut spent = Vec::new();
    let mut n = 0;
    while n < state.idle.len() {
        let spare = state.idle.len() > options.min_idle;
        let idle = &state.idle[n];
        let idled = options.idle_timeout.is_some_and(|most| now.duration_since(idle.since) >= most);
        let old = state.slot(&idle.conn).is_some_and(|slot| slot.expires.is_some_and(|at| at <= now));
        let why = match (old, idled && spare) {
            (true, _) => Discard::Lifetime,
            (false, true) => Discard::Idle,
            (false, false) => {
                n += 1;
                continue;
            }
        };
        let idle = state.idle.remove(n);
        spent.push((idle.conn, why));
    }
    let leaks = leaks(&mut state, options.leak_after, now);
    drop(state);
    pool.discard_each(spent);
    let mut state = pool.state();
    let spare = options.min_idle.saturating_sub(state.idle.len());
    let begun = state.grow(options.max, spare);
    drop(state);
    pool.open_each(begun);
    for leak in leaks {
        pool.counts.leaked();
        pool.tell(&Event::Leak(leak));
    }
    true
}

/// Checkouts that have become too long since the last look.
fn leaks(state: &mut State, after: Option<Duration>, now: Instant) -> Vec<Checkout> {
    let Some(after) = after else { return Vec::new() };
    let mut leaks = Vec::new();
    for slot in state.slots_mut() {
        let Some(mut out) = slot.out.take() else { continue };
        if !out.reported && now.duration_since(out.since) >= after {
            out.reported = true;
            leaks.push(slot.checkout(&out, now));
        }
        slot.out = Some(out);
    }
    leaks
}
