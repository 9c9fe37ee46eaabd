//! The API of the runbook: render jobs in database `renderflow`, on a pool with the runbook's settings, with the runbook's
//! readiness endpoint, log lines and metrics. Small on purpose: take it as the start of yours.
//!
//! Not in here: TLS to the browser and authentication, which stand in front of it.

pub mod config;
pub mod connection;
pub mod drill;
pub mod jobs;
pub mod log;
pub mod migrations;
pub mod routes;

use config::Config;
use log::Log;
use pgmedic_pool::{Pool, PoolCell};
use std::future::{Future, IntoFuture as _};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long requests may take to end once the process is told to.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the pool may take to close after that.
const CLOSE: Duration = Duration::from_secs(5);
/// Between two attempts to initialise. The pool itself paces its attempts to connect: this makes no storm.
const AGAIN: Duration = Duration::from_millis(250);

/// Why the API ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The pool cannot be made of the settings.
    #[error("DATABASE_URL: {0}")]
    Pool(#[from] pgmedic_pool::BuildError),
    /// It cannot listen or serve.
    #[error("{what}: {source}")]
    Io {
        /// What it was about.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Serves on `listener` until `stop` is over, then lets requests end and closes the pool.
///
/// It listens before it has its database: until the schema is there, readiness and every request say `Database not
/// initialised`, and it goes on trying. It need not be restarted for a database that comes late.
///
/// # Errors
/// [`ApiError`]: settings that can never work, or a listener that breaks.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    log: Log,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ApiError> {
    let pool = connection::pool(&config, &log)?;
    let renewing = connection::renew_on_hangup(&pool, &log)?;
    let cell = PoolCell::new();
    let mut app = routes::router(&cell, &pool, log.clone());
    if config.drill {
        log.error("RENDERFLOW_DRILL is set: anybody who reaches this port can take its connections");
        app = app.merge(drill::router(&cell));
    }
    let initialising = tokio::spawn(initialise(cell, pool.clone(), log.clone()));

    // The signal starts the drain; what has not ended by `DRAIN` is cut off, or one slow client would hold the process.
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let stopping = log.clone();
    let graceful = async move {
        stop.await;
        stopping.info("stopping: no new requests, those in hand may end");
        drop(drain);
    };
    let served = tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(graceful).into_future() => served,
        () = async { drop(draining.await); tokio::time::sleep(DRAIN).await } => {
            log.error(format_args!("requests were cut off: they had not ended within {DRAIN:?}"));
            Ok(())
        }
    };
    initialising.abort();
    renewing.abort();
    if let Err(still_out) = pool.close(CLOSE).await {
        log.error(still_out);
    }
    served.map_err(|source| ApiError::Io { what: "serving".to_owned(), source })
}

/// Brings the schema up to date, and then lets requests have the pool.
async fn initialise(cell: PoolCell, pool: Pool, log: Log) {
    let mut said = String::new();
    loop {
        match migrations::run(&pool).await {
            Ok(applied) => {
                applied.iter().for_each(|name| log.info(format_args!("migration applied: {name}")));
                // It is set here and nowhere else.
                let _set = cell.set(pool);
                log.info("Database initialised");
                return;
            }
            Err(error) => {
                // The same reason is told once, not four times a second.
                let why = error.reason();
                if why != said {
                    log.error(format_args!("Database not initialised: {error}"));
                    said = why;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
