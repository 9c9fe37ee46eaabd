//! Making a connection clean that came back otherwise: a transaction left open, a query in flight, LISTEN.
//!
//! Not in here: how it is known that there is something to clean (`wire`).

use crate::builder::Recycle;
use crate::conn::Conn;
use crate::event::Event;
use crate::inner::Inner;
use crate::metrics::Discard;
use crate::object::Object;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long what is in flight may take to end by itself before it is cancelled: a ROLLBACK that a dropped transaction
/// sent is on its way.
const GRACE: Duration = Duration::from_millis(50);

/// An empty query behind everything that is in flight: its answer says that all of that is over.
pub(crate) fn fence(object: &Object) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send + '_ {
    object.conn().client.batch_execute("")
}

/// Cleans a connection and gives it back, or closes it.
pub(crate) async fn clean(pool: Arc<Inner>, conn: Box<Conn>) {
    let mut held = Held { pool, conn: Some(conn) };
    let what = held.conn.as_ref().map_or("nothing", |conn| left_behind(conn));
    let outcome = match &held.conn {
        Some(conn) => restore(&held.pool, conn).await,
        None => return,
    };
    let Some(conn) = held.conn.take() else { return };
    match outcome {
        Outcome::Unclean => {
            conn.driver.abort();
            held.pool.discard(conn, Discard::Unclean);
            held.pool.tell(&Event::Unclean { what });
        }
        Outcome::Undone => {
            held.pool.release(conn);
            held.pool.tell(&Event::Cleaned { what });
        }
        Outcome::Over => held.pool.release(conn),
    }
}

/// How cleaning went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// What was in flight ended by itself, as after a transaction that was dropped.
    Over,
    /// Something had to be undone.
    Undone,
    /// It could not be.
    Unclean,
}

/// A connection in the cleaner's hands; it does not go missing with the task.
struct Held {
    pool: Arc<Inner>,
    conn: Option<Box<Conn>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.discard(conn, Discard::Unclean);
        }
    }
}

fn left_behind(conn: &Conn) -> &'static str {
    match (conn.wire.is_answered(), conn.wire.in_transaction()) {
        (false, true) => "a request in flight and a transaction open",
        (false, false) => "a request in flight",
        (true, true) => "a transaction open",
        (true, false) if conn.wire.has_listened() => "LISTEN in force",
        (true, false) => "nothing",
    }
}

async fn restore(pool: &Inner, conn: &Conn) -> Outcome {
    let until = Instant::now() + pool.options.recycle_timeout;
    let Some(cancelled) = settle(pool, conn, until).await else { return Outcome::Unclean };
    let mut statements = String::new();
    if conn.wire.in_transaction() {
        statements.push_str("ROLLBACK;");
    }
    if conn.wire.has_listened() {
        statements.push_str("UNLISTEN *;");
    }
    let undone = cancelled || !statements.is_empty();
    if !statements.is_empty() && !run(conn, &statements, until).await {
        return Outcome::Unclean;
    }
    conn.wire.unlistened();
    if !configured(pool, conn, until).await || !conn.wire.is_at_rest() {
        return Outcome::Unclean;
    }
    if undone { Outcome::Undone } else { Outcome::Over }
}

/// Waits until all that is in flight is over, and cancels it where it takes its time. Some(whether it was), or None where
/// there is no end to it.
async fn settle(pool: &Inner, conn: &Conn, until: Instant) -> Option<bool> {
    let mut over = std::pin::pin!(conn.client.batch_execute(""));
    let grace = until.min(Instant::now() + GRACE);
    match timeout_at(grace, over.as_mut()).await {
        // A statement that ended in an error is over all the same.
        Ok(outcome) => (outcome.is_ok() || !conn.client.is_closed()).then_some(false),
        Err(_) => {
            let cancelled = timeout_at(until, pool.connector.cancel(&conn.place, &conn.wire)).await;
            let cancelled = matches!(cancelled, Ok(Ok(())));
            (cancelled && timeout_at(until, over).await.is_ok()).then_some(true)
        }
    }
}

/// What `Recycle` demands beyond what was seen.
async fn configured(pool: &Inner, conn: &Conn, until: Instant) -> bool {
    match &pool.options.recycle {
        Recycle::Fast => true,
        Recycle::DiscardAll => {
            conn.statements.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
            run(conn, "DISCARD ALL", until).await
        }
        Recycle::Sql(statement) => run(conn, statement, until).await,
    }
}

async fn run(conn: &Conn, statements: &str, until: Instant) -> bool {
    matches!(timeout_at(until, conn.client.batch_execute(statements)).await, Ok(Ok(())))
}
