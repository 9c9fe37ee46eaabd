//! A `sqlx::Pool`'s metrics.
//!
//! It tells max, size and idle. It does not tell who waits, what opening a connection failed of, or why one was closed: its
//! errors erase that.

use super::Measured;
use crate::metrics::{Metered, Numbers, Observer};
use crate::reason::Stage;
use sqlx_core::database::Database;
use sqlx_core::error::Error;
use sqlx_core::pool::{Pool, PoolConnection};
use std::sync::Arc;

/// A pool of sqlx's, measured: `sqlx::PgPool` is `Pool<Postgres>`.
pub struct Observed<DB: Database> {
    pool: Pool<DB>,
    name: Option<String>,
    measured: Arc<Measured>,
}

impl<DB: Database> Clone for Observed<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), name: self.name.clone(), measured: Arc::clone(&self.measured) }
    }
}

impl<DB: Database> std::fmt::Debug for Observed<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<DB: Database> Observed<DB> {
    /// Measures a pool; `name` is the label `pool`.
    #[must_use]
    pub fn new(pool: Pool<DB>, name: impl Into<Option<String>>) -> Self {
        Self { pool, name: name.into(), measured: Measured::new() }
    }

    /// As the pool's own `acquire`, and measured.
    ///
    /// # Errors
    /// The pool's own.
    pub async fn acquire(&self) -> Result<PoolConnection<DB>, Error> {
        let timed_out = |e: &Error| matches!(e, Error::PoolTimedOut).then_some(Stage::Queue);
        self.measured.acquire(self.pool.acquire(), timed_out).await
    }
}

impl<DB: Database> Metered for Observed<DB> {
    fn numbers(&self) -> Numbers {
        let (size, idle) = (u64::from(self.pool.size()), self.pool.num_idle() as u64);
        Numbers {
            max: Some(u64::from(self.pool.options().get_max_connections())),
            size: Some(size),
            idle: Some(idle),
            in_use: Some(size.saturating_sub(idle)),
            ..self.measured.numbers()
        }
    }

    fn label(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn observe(&self, observer: Box<dyn Observer>) -> bool {
        self.measured.counts.observe(observer)
    }
}
