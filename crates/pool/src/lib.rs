//! An async Postgres pool for `tokio-postgres` whose failures explain themselves.
//!
//! ```no_run
//! # async fn api() -> Result<(), Box<dyn std::error::Error>> {
//! use pgmedic_pool::Pool;
//!
//! let pool = Pool::from_url("postgres://app@db.internal/app")?.build()?;
//! let client = pool.get().await?;
//! let row = client.query_one("select now()::text", &[]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `get` never says "pool timed out". It says which stage ran out (queue, dns, connect, tls, startup, admission,
//! recycle), what each attempt failed of, by SQLSTATE or errno, and who holds the connections, with the line that took
//! the oldest. While the database is known to be down it says so at once.
//!
//! A connection that is given back is clean: what passes on the wire tells whether a transaction is open or a request in
//! flight, without asking. Whatever a dropped future left behind is rolled back, cancelled or closed before the next caller.
//!
//! | feature | gives |
//! |---|---|
//! | `prometheus-client` | [`metrics`]`::PoolCollector` |
//! | `metrics` | [`metrics`]`::Publisher`, for the `metrics` facade |
//! | `axum` | [`readiness`]`::axum`: a handler and a router |
//! | `tower` | [`readiness`]`::tower`: a service |
//! | `sqlx`, `deadpool`, `bb8` | `adapters`: the same metrics for a pool that is there already |
//!
//! Without features it is `tokio`, `tokio-postgres`, `socket2` and pgmedic's words. `docs/pool.md` has the whole: what a failure
//! says, what happens while the database is down, what comes back clean, metrics, readiness.

#[cfg(any(feature = "sqlx", feature = "deadpool", feature = "bb8"))]
pub mod adapters;
mod builder;
mod clean;
mod conn;
mod connect;
mod driver;
mod error;
mod event;
mod inner;
mod jitter;
mod keep;
pub mod metrics;
mod object;
mod opening;
mod pool;
mod progress;
mod queue;
pub mod readiness;
mod reason;
mod state;
mod trouble;
mod wire;

pub use builder::{BuildError, Builder, Recycle};
pub use connect::{BoxFuture, Endpoint, Stream, System, Transport};
pub use error::{GetError, Kind};
pub use event::Event;
pub use metrics::{Metered, Numbers};
pub use object::Object;
pub use pool::{Pool, PoolCell, StillOut};
pub use readiness::{Answer, Readiness};
pub use reason::{Attempt, Reason, Stage};
pub use state::{Checkout, PoolState};
pub use tokio_postgres;
