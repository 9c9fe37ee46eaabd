//! A deadpool's metrics: `deadpool_postgres::Pool` is `deadpool::managed::Pool<deadpool_postgres::Manager>`.
//!
//! It tells max, size, idle and who waits, and which of its three timeouts ran out. It does not tell why a connection was
//! closed: the errors of its recycling vanish.

use super::Measured;
use crate::metrics::{Metered, Numbers, Observer};
use crate::reason::Stage;
use ::deadpool::managed::{Manager, Object, Pool, PoolError, TimeoutType};
use std::sync::Arc;

/// A pool of deadpool's, measured.
pub struct Observed<M: Manager> {
    pool: Pool<M>,
    name: Option<String>,
    measured: Arc<Measured>,
}

impl<M: Manager> Clone for Observed<M> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), name: self.name.clone(), measured: Arc::clone(&self.measured) }
    }
}

impl<M: Manager> std::fmt::Debug for Observed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<M: Manager> Observed<M> {
    /// Measures a pool; `name` is the label `pool`.
    #[must_use]
    pub fn new(pool: Pool<M>, name: impl Into<Option<String>>) -> Self {
        Self { pool, name: name.into(), measured: Measured::new() }
    }

    /// As the pool's own `get`, and measured.
    ///
    /// # Errors
    /// The pool's own.
    pub async fn get(&self) -> Result<Object<M>, PoolError<M::Error>> {
        let stage = |e: &PoolError<M::Error>| match e {
            PoolError::Timeout(TimeoutType::Wait) => Some(Stage::Queue),
            PoolError::Timeout(TimeoutType::Create) => Some(Stage::Connect),
            PoolError::Timeout(TimeoutType::Recycle) => Some(Stage::Recycle),
            _ => None,
        };
        self.measured.acquire(self.pool.get(), stage).await
    }
}

impl<M: Manager + 'static> Metered for Observed<M>
where
    Pool<M>: Send + Sync,
{
    fn numbers(&self) -> Numbers {
        let status = self.pool.status();
        let (size, idle) = (status.size as u64, status.available as u64);
        Numbers {
            max: Some(status.max_size as u64),
            size: Some(size),
            idle: Some(idle),
            in_use: Some(size.saturating_sub(idle)),
            waiting: Some(status.waiting as u64),
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
