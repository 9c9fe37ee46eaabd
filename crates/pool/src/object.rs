//! A connection in a caller's hands.
//!
//! Not in here: what becomes of it when it is given back (`inner`, `clean`).

use crate::conn::Conn;
use crate::inner::Inner;
use crate::metrics::Discard;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tokio_postgres::{Client, Error, Statement};

/// A connection from the pool: a [`Client`] that goes back when it is dropped, wherever the future that holds it was
/// dropped. What it leaves behind (an open transaction, a query in flight, LISTEN) is undone before anybody else has it.
#[must_use = "a connection that is not used goes straight back"]
pub struct Object {
    /// None only while it is given back.
    conn: Option<Box<Conn>>,
    pool: Arc<Inner>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl Object {
    pub(crate) fn of(conn: Box<Conn>, pool: &Arc<Inner>) -> Self {
        Self { conn: Some(conn), pool: Arc::clone(pool) }
    }

    #[expect(
        clippy::expect_used,
        reason = "taken by drop and by methods that consume the object, and by nothing else"
    )]
    pub(crate) fn conn(&self) -> &Conn {
        self.conn.as_ref().expect("an object holds its connection until it is dropped")
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.wire.is_at_rest() && !conn.wire.is_dead())
    }

    /// The backend's process id, as in `pg_stat_activity`; behind a pooler, the pooler's invention.
    #[must_use]
    pub fn backend(&self) -> i32 {
        self.conn().wire.process_id.load(Relaxed)
    }

    /// The address that it leads to.
    #[must_use]
    pub fn address(&self) -> String {
        self.conn().place.endpoint.to_string()
    }

    /// A prepared statement that the connection keeps: prepared once on each connection, however often it is asked for. Texts
    /// should be few and constant; each is kept for the connection's life.
    ///
    /// # Errors
    /// Those of [`Client::prepare`].
    pub async fn prepare_cached(&self, query: &str) -> Result<Statement, Error> {
        let kept = &self.conn().statements;
        if let Some(statement) = kept.lock().unwrap_or_else(PoisonError::into_inner).get(query) {
            return Ok(statement.clone());
        }
        let statement = self.prepare(query).await?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).insert(query.into(), statement.clone());
        Ok(statement)
    }

    /// Closes the connection instead of giving it back: for one whose session is not what the next caller expects.
    pub fn discard(self) {
        self.discard_as(Discard::Caller);
    }

    pub(crate) fn discard_as(mut self, why: Discard) {
        if let Some(conn) = self.conn.take() {
            if why != Discard::Caller {
                conn.driver.abort();
            }
            self.pool.discard(conn, why);
        }
    }
}

impl Deref for Object {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.conn().client
    }
}

impl DerefMut for Object {
    #[expect(
        clippy::expect_used,
        reason = "taken by drop and by methods that consume the object, and by nothing else"
    )]
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.conn.as_mut().expect("an object holds its connection until it is dropped").client
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.give_back(conn);
        }
    }
}
