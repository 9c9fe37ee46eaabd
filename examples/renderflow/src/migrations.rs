//! The schema: embedded, applied in order, each once, however many instances start at the same time.

use pgmedic_pool::tokio_postgres::Transaction;
use pgmedic_pool::{GetError, Pool, tokio_postgres};

/// Every migration, oldest first. What has been released is never changed: add another.
const MIGRATIONS: &[(&str, &str)] =
    &[("0001_render_jobs", include_str!("../migrations/0001_render_jobs.sql"))];

/// The advisory lock of whoever migrates: any number that nothing else in this database uses ("rendflow" in ASCII).
const LOCK: i64 = 0x7265_6e64_666c_6f77;

/// Why the schema is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection.
    #[error("{0}")]
    Connection(#[from] GetError),
    /// A statement failed.
    #[error("{what}: {}", crate::jobs::words(source))]
    Statement {
        /// The migration, or the step.
        what: String,
        /// What the server said.
        source: tokio_postgres::Error,
    },
    /// The database is ahead of this program: an older release was started on it.
    #[error(
        "the database has migration {0:?}, which this program does not know: it is older than the schema"
    )]
    Ahead(String),
}

impl MigrateError {
    /// The reason without the figures that change from one attempt to the next.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            // Its words have times in them: the stage and the reason's short name have not.
            Self::Connection(error) => {
                let last = error.attempts().last().map(|attempt| attempt.reason.label().into_owned());
                format!("{:?} {:?} {last:?}", error.kind(), error.stage())
            }
            other => other.to_string(),
        }
    }
}

/// Brings the schema up to date, in one transaction: all of it or nothing. Gives the names of what was applied.
///
/// # Errors
/// [`MigrateError`].
pub async fn run(pool: &Pool) -> Result<Vec<&'static str>, MigrateError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| MigrateError::Statement { what, source }
    };
    let mut client = pool.get().await?;
    let transaction = client.transaction().await.map_err(failed("begin"))?;
    // The lock ends with the transaction, also where this process dies; an instance that waits for another gives up in time.
    let prepare = format!(
        "set local lock_timeout = '30s';
         select pg_advisory_xact_lock({LOCK});
         create table if not exists migrations (name text primary key, applied_at timestamptz not null default now())"
    );
    transaction.batch_execute(&prepare).await.map_err(failed("the table of migrations"))?;
    let applied = applied(&transaction).await.map_err(failed("the table of migrations"))?;
    if let Some(unknown) = applied.iter().find(|name| !MIGRATIONS.iter().any(|(known, _)| known == name)) {
        return Err(MigrateError::Ahead(unknown.clone()));
    }
    let missing = MIGRATIONS.iter().filter(|(name, _)| !applied.iter().any(|done| done == name));
    let mut new = Vec::new();
    for (name, sql) in missing {
        transaction.batch_execute(sql).await.map_err(failed(name))?;
        let note = transaction.execute("insert into migrations (name) values ($1)", &[name]).await;
        note.map_err(failed(name))?;
        new.push(*name);
    }
    transaction.commit().await.map_err(failed("commit"))?;
    Ok(new)
}

async fn applied(transaction: &Transaction<'_>) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = transaction.query("select name from migrations order by name", &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
