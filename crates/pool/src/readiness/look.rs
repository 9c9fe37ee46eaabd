//! One look at the database for readiness' sake, by the way that takes nothing from a request.
//!
//! Not in here: who asks, and how long an answer counts.

use crate::connect::Fresh;
use crate::error::GetError;
use crate::inner::Inner;
use crate::object::Object;
use crate::progress::Progress;
use crate::readiness::{Answer, no};
use crate::reason::Verdict;
use crate::state::Idle;
use crate::trouble::Report;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection beside the pool may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// The way to look.
enum Way {
    /// Over one that idles; a request would still find another, or room for one.
    Idle(Box<Object>),
    /// By opening one in the pool, which has room.
    Pool,
    /// Over one beside the pool, which is full.
    Beside,
}

/// The answer, and whether it is the only trace of itself: what was heard on the pool's own connections is known to the
/// pool, and forgotten when they end.
pub(super) async fn look(pool: &Arc<Inner>, deadline: Duration) -> (Answer, bool) {
    let until = Instant::now() + deadline;
    let way = way(pool);
    let beside_the_pool = matches!(way, Way::Beside);
    (go(pool, way, until).await, beside_the_pool)
}

async fn go(pool: &Arc<Inner>, way: Way, until: Instant) -> Answer {
    match way {
        Way::Idle(object) => match tokio::time::timeout_at(until, crate::clean::fence(&object)).await {
            Ok(Ok(())) => Answer::Ready,
            outcome => {
                object.discard_as(crate::metrics::Discard::Recycle);
                let left = until.saturating_duration_since(Instant::now());
                match outcome {
                    // It was dead, and says nothing about the server: a new one does.
                    Ok(Err(_)) if !left.is_zero() => by_opening(pool, left).await,
                    _ => no("recycle: the database does not answer on an open connection"),
                }
            }
        },
        Way::Pool => by_opening(pool, until.saturating_duration_since(Instant::now())).await,
        Way::Beside => beside(pool, until).await,
    }
}

fn way(pool: &Arc<Inner>) -> Way {
    let mut state = pool.state();
    let room = state.size() + state.openings.len() < pool.options.max;
    if state.idle.len() > usize::from(!room) && state.queue.is_empty() {
        // The one that has idled longest: a request would take the other end.
        let Idle { conn, .. } = state.idle.remove(0);
        state.check_out(&conn, Location::caller(), Instant::now());
        return Way::Idle(Box::new(Object::of(conn, pool)));
    }
    if room && state.idle.is_empty() { Way::Pool } else { Way::Beside }
}

async fn by_opening(pool: &Arc<Inner>, within: Duration) -> Answer {
    match pool.acquire(Location::caller(), within).await {
        Ok(_) => Answer::Ready,
        Err(error) => no(&error.reason()),
    }
}

async fn beside(pool: &Arc<Inner>, until: Instant) -> Answer {
    let progress = Progress::new();
    let fresh = pool.connector.open(&progress, until, None, pool.epoch).await;
    if let Some(fresh) = fresh {
        pool.runtime.spawn(farewell(fresh));
        return Answer::Ready;
    }
    let attempts = progress.attempts();
    // A server that refuses for want of a slot is alive, and the pool has its connections.
    let full = attempts.iter().any(|attempt| attempt.reason.verdict() == Verdict::Full);
    if full && pool.snapshot().size > 0 {
        return Answer::Ready;
    }
    no(&Report::of(attempts, progress.begun).to_string())
}

/// Ends a connection as the protocol has it.
async fn farewell(fresh: Fresh) {
    let Fresh { client, mut drive, .. } = fresh;
    drop(client);
    let ended = std::future::poll_fn(|cx| {
        while let Some(Ok(_)) = std::task::ready!(drive.poll_message(cx)) {}
        std::task::Poll::Ready(())
    });
    let _ = tokio::time::timeout(FAREWELL, ended).await;
}

impl GetError {
    /// What it failed of, without the pool's state and without advice.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.stage() {
            Some(stage) if self.attempts().is_empty() => {
                format!("{stage}: nothing within {}", pgmedic_model::Ms::from(self.elapsed()))
            }
            Some(_) => crate::event::attempts(self.attempts()),
            None if self.kind() == crate::error::Kind::Closed => "the pool is closed".to_owned(),
            None => "Database not initialised".to_owned(),
        }
    }
}

impl Inner {
    /// How far the oldest opening has come, in words.
    pub(super) fn so_far(&self) -> Option<String> {
        let state = self.state();
        let oldest = state.openings.iter().min_by_key(|opening| opening.begun)?;
        let (_, attempts) = oldest.so_far();
        (!attempts.is_empty()).then(|| crate::event::attempts(&attempts))
    }
}
