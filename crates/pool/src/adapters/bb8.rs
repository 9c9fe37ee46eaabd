//! A bb8 pool's metrics.
//!
//! It tells max, size, idle, who waits, how many it opened, how many callers ran out of time, and why it closed
//! connections, in its own four words. It does not tell what opening one failed of.

use super::Measured;
use crate::metrics::{Metered, Numbers, Observer};
use ::bb8::{ManageConnection, Pool, PooledConnection, RunError};
use std::borrow::Cow;
use std::sync::Arc;

/// A bb8 pool, measured. bb8 does not say its own `max_size` afterwards, so that it is said here.
pub struct Observed<M: ManageConnection> {
    pool: Pool<M>,
    name: Option<String>,
    measured: Arc<Measured>,
}

impl<M: ManageConnection> Clone for Observed<M> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), name: self.name.clone(), measured: Arc::clone(&self.measured) }
    }
}

impl<M: ManageConnection> std::fmt::Debug for Observed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<M: ManageConnection> Observed<M> {
    /// Measures a pool; `name` is the label `pool`.
    #[must_use]
    pub fn new(pool: Pool<M>, name: impl Into<Option<String>>) -> Self {
        Self { pool, name: name.into(), measured: Measured::new() }
    }

    /// As the pool's own `get`, and measured.
    ///
    /// # Errors
    /// The pool's own.
    pub async fn get(&self) -> Result<PooledConnection<'_, M>, RunError<M::Error>> {
        // Timeouts are in its own statistics.
        self.measured.acquire(self.pool.get(), |_| None).await
    }
}

impl<M: ManageConnection> Metered for Observed<M> {
    fn numbers(&self) -> Numbers {
        let state = self.pool.state();
        let told = &state.statistics;
        let (size, idle) = (u64::from(state.connections), u64::from(state.idle_connections));
        let measured = self.measured.numbers();
        Numbers {
            max: Some(u64::from(self.pool.config().max_size)),
            size: Some(size),
            idle: Some(idle),
            in_use: Some(size.saturating_sub(idle)),
            // Read one after the other: what has begun may have ended in between.
            waiting: Some(told.get_started.saturating_sub(told.completed_gets())),
            connects: vec![("ok", Cow::Borrowed("none"), told.connections_created)],
            timeouts: vec![("queue", told.get_timed_out)],
            discards: vec![
                ("idle", told.connections_closed_idle_timeout),
                ("lifetime", told.connections_closed_max_lifetime),
                ("lost", told.connections_closed_broken),
                ("recycle", told.connections_closed_invalid),
            ],
            ..measured
        }
    }

    fn label(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn observe(&self, observer: Box<dyn Observer>) -> bool {
        self.measured.counts.observe(observer)
    }
}
