//! The connection to the database: the runbook's Prevention, word for word. `max: 10`, `idle_timeout: 20`,
//! `connect_timeout: 10`.

use crate::ApiError;
use crate::config::Config;
use crate::log::Log;
use pgmedic_pool::{Event, Pool};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// The pool. Nothing is connected yet.
///
/// # Errors
/// Where `DATABASE_URL` cannot be read; its password is not shown.
pub fn pool(config: &Config, log: &Log) -> Result<Pool, ApiError> {
    let log = log.clone();
    let pool = Pool::from_url(&config.database_url)?
        .max(10)
        .idle_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_secs(10))
        // What the pool learns goes into the log, where people and `pgmedic` look for it.
        .on_event(move |event| match event {
            Event::Up { after, tries } => {
                log.info(format_args!(
                    "database connected again, at the {tries}th attempt, after {after:.1?}"
                ));
            }
            Event::Cleaned { .. } => log.info(event),
            _ => log.error(event),
        })
        .build()?;
    Ok(pool)
}

/// On each SIGHUP the pool's connections are replaced by new ones: after a failover, or a move of the database, without a
/// restart. It ends when it is aborted.
///
/// # Errors
/// [`ApiError::Io`] where the signal cannot be heard.
pub fn renew_on_hangup(pool: &Pool, log: &Log) -> Result<JoinHandle<()>, ApiError> {
    let failed = |source| ApiError::Io { what: "SIGHUP".to_owned(), source };
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let (pool, log) = (pool.clone(), log.clone());
    Ok(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            pool.renew();
            log.info("SIGHUP: the pool's connections are renewed");
        }
    }))
}
