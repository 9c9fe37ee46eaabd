//! The pool, as an API holds it.
//!
//! Not in here: how it works (`inner`).

use crate::builder::{BuildError, Builder};
use crate::error::GetError;
use crate::inner::Inner;
use crate::metrics::{Discard, Metered, Numbers, Observer};
use crate::object::Object;
use crate::queue::Given;
use crate::state::{Checkout, PoolState};
use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Config;

/// A pool of connections. Clones share it; it ends with the last of them and the last connection that is held.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

/// What is still out when a pool could not be closed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillOut(pub Vec<Checkout>);

impl std::fmt::Display for StillOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the pool is closed, but {} connections are not back", self.0.len())?;
        self.0.iter().try_for_each(|checkout| write!(f, "; {checkout}"))
    }
}

impl std::error::Error for StillOut {}

impl Pool {
    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Begins a pool for a configuration.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder::of(config)
    }

    /// Begins a pool for a URL or a string of `key=value`, as `tokio-postgres` reads them.
    ///
    /// # Errors
    /// [`BuildError::Unreadable`], with the secrets in it masked.
    pub fn from_url(url: &str) -> Result<Builder, BuildError> {
        Builder::read(url)
    }

    /// A connection, within the pool's `acquire_timeout`. First come, first served. The future may be dropped at any time:
    /// nothing is lost by that.
    ///
    /// The place that calls this is kept while the connection is out, for [`PoolState::oldest`] and leaks.
    ///
    /// # Errors
    /// [`GetError`]: which stage ran out or failed, of what, and the pool as it was. While the database is known to be
    /// down that comes at once.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Object, GetError>> + Send + '_ {
        let place = Location::caller();
        self.0.acquire(place, self.0.options.acquire_timeout)
    }

    /// The same within a budget of the caller's own.
    ///
    /// # Errors
    /// As [`Pool::get`].
    #[track_caller]
    pub fn get_within(&self, budget: Duration) -> impl Future<Output = Result<Object, GetError>> + Send + '_ {
        self.0.acquire(Location::caller(), budget)
    }

    /// The pool at this moment.
    #[must_use]
    pub fn state(&self) -> PoolState {
        self.0.snapshot()
    }

    /// Renews the pool, after a failover or a move: what idles is closed at once, what is out when it comes back, what
    /// is being opened once it is open, and whoever asks is given a new connection. Each counts as one that was old enough (`lifetime`).
    pub fn renew(&self) {
        let inner = &self.0;
        let now = Instant::now();
        let mut state = inner.state();
        state.slots_mut().for_each(|slot| slot.expires = Some(now));
        state.openings.iter().for_each(|opening| opening.stale.store(true, Relaxed));
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        inner.discard_each(idle.into_iter().map(|idle| (idle.conn, Discard::Lifetime)).collect());
    }

    /// Closes the pool: who waits is told so, what idles is closed, what is out is closed when it comes back, which is waited
    /// for until `within` is over.
    ///
    /// # Errors
    /// [`StillOut`]: who had not given back by then. Nobody is given a connection all the same.
    pub async fn close(&self, within: Duration) -> Result<(), StillOut> {
        let inner = &self.0;
        let until = Instant::now() + within;
        let (wakers, idle) = {
            let mut state = inner.state();
            state.closed = true;
            (state.queue.give_all(|| Given::Closed), std::mem::take(&mut state.idle))
        };
        for waker in wakers {
            waker.wake();
        }
        inner.discard_each(idle.into_iter().map(|idle| (idle.conn, Discard::Closed)).collect());
        loop {
            let mut freed = std::pin::pin!(inner.freed.notified());
            freed.as_mut().enable();
            if inner.state().size() == 0 {
                return Ok(());
            }
            if tokio::time::timeout_at(until, freed).await.is_err() {
                let now = Instant::now();
                let state = inner.state();
                let out =
                    state.slots().filter_map(|slot| slot.out.as_ref().map(|out| slot.checkout(out, now)));
                return Err(StillOut(out.collect()));
            }
        }
    }

    /// True once [`Pool::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.state().closed
    }
}

impl Metered for Pool {
    fn numbers(&self) -> Numbers {
        Numbers::of(&self.0.snapshot(), &self.0.counts)
    }

    fn observe(&self, observer: Box<dyn Observer>) -> bool {
        self.0.counts.observe(observer)
    }

    fn label(&self) -> Option<&str> {
        self.0.options.name.as_deref()
    }
}

/// A place for a pool that is not there yet: a `static`, or a field of the API's state. Until it is set, `get` says
/// `Database not initialised`, and readiness says so too.
#[derive(Clone, Debug, Default)]
pub struct PoolCell(Arc<OnceLock<Pool>>);

impl PoolCell {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the pool, once.
    ///
    /// # Errors
    /// The pool that was offered, where one is set already.
    pub fn set(&self, pool: Pool) -> Result<(), Pool> {
        self.0.set(pool)
    }

    /// The pool, where it is set.
    #[must_use]
    pub fn pool(&self) -> Option<&Pool> {
        self.0.get()
    }

    /// As [`Pool::get`].
    ///
    /// # Errors
    /// As [`Pool::get`]; before [`PoolCell::set`] of kind `NotInitialised`, at once.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Object, GetError>> + Send + '_ {
        let place = Location::caller();
        async move {
            match self.pool() {
                Some(Pool(inner)) => inner.acquire(place, inner.options.acquire_timeout).await,
                None => Err(GetError::not_initialised()),
            }
        }
    }
}
