//! Render jobs: created, listed, claimed by exactly one worker, finished by that worker. SQL and values; no HTTP.

use pgmedic_pool::tokio_postgres::{self, Row};
use pgmedic_pool::{GetError, PoolCell};
use serde::{Deserialize, Serialize};

/// How long a claim holds. A worker that is gone by then has its job claimed by another.
const LEASE: &str = "10 minutes";

/// A job's columns, in the order in which [`Job::read`] takes them; times in RFC 3339.
const COLUMNS: &str = "id, scene, frames, state, worker, output,
    to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
    to_char(leased_until at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
    to_char(finished_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// What is rendered.
    pub scene: String,
    /// How many frames.
    pub frames: i32,
    /// `queued`, `rendering`, `done`, `failed`.
    pub state: String,
    /// Who claimed it last.
    pub worker: Option<String>,
    /// Where the result is, or what went wrong.
    pub output: Option<String>,
    /// When it was created.
    pub created_at: String,
    /// Until when it is its worker's.
    pub leased_until: Option<String>,
    /// When it was finished.
    pub finished_at: Option<String>,
}

impl Job {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            scene: row.try_get(1)?,
            frames: row.try_get(2)?,
            state: row.try_get(3)?,
            worker: row.try_get(4)?,
            output: row.try_get(5)?,
            created_at: row.try_get(6)?,
            leased_until: row.try_get(7)?,
            finished_at: row.try_get(8)?,
        })
    }
}

/// Why a request of jobs came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No connection: why, and what to do about it.
    #[error("{0}")]
    Connection(#[from] GetError),
    /// A statement failed.
    #[error("database query failed: {}", words(.0))]
    Statement(#[from] tokio_postgres::Error),
    /// There is no such job.
    #[error("there is no job {0}")]
    Absent(i64),
    /// It is not this worker's: its lease ended, or it was finished.
    #[error("job {id} is {state}, and not {worker}'s to finish")]
    NotYours {
        /// The job.
        id: i64,
        /// Its state.
        state: String,
        /// Who wanted to finish it.
        worker: String,
    },
}

/// A statement's failure with what the server said: the driver's own words alone are "db error".
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} {}: {}", db.severity(), db.code().code(), db.message()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is rendered.
    Done,
    /// It is not.
    Failed,
}

/// The jobs of the database.
#[derive(Clone, Debug)]
pub struct Jobs(PoolCell);

impl Jobs {
    /// Those that a pool leads to, once there is one.
    #[must_use]
    pub const fn new(pool: PoolCell) -> Self {
        Self(pool)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// [`JobError`]; the schema refuses a scene without a name, and frames out of bounds (SQLSTATE 23514).
    pub async fn create(&self, scene: &str, frames: i32) -> Result<Job, JobError> {
        let sql = format!("insert into render_jobs (scene, frames) values ($1, $2) returning {COLUMNS}");
        let client = self.0.get().await?;
        let row = client.query_one(&client.prepare_cached(&sql).await?, &[&scene, &frames]).await?;
        Ok(Job::read(&row)?)
    }

    /// The jobs after `after`, by number, of one state or of all: at most `limit`.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn list(&self, state: Option<&str>, after: i64, limit: i64) -> Result<Vec<Job>, JobError> {
        let sql = format!(
            "select {COLUMNS} from render_jobs where id > $1 and ($2::text is null or state = $2) order by id limit $3"
        );
        let client = self.0.get().await?;
        let rows = client.query(&client.prepare_cached(&sql).await?, &[&after, &state, &limit]).await?;
        rows.iter().map(|row| Job::read(row).map_err(JobError::from)).collect()
    }

    /// Gives `worker` the oldest job that is nobody's. None where there is none.
    ///
    /// `for update skip locked`: a row that another claim has in hand is passed over, so that workers neither wait for each
    /// other nor are given the same job. The subquery is materialised, or the planner might run it more than once.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn claim(&self, worker: &str) -> Result<Option<Job>, JobError> {
        let sql = format!(
            "with next as materialized (
                 select id as next_id from render_jobs
                 where state = 'queued' or (state = 'rendering' and leased_until < now())
                 order by id for update skip locked limit 1
             )
             update render_jobs set state = 'rendering', worker = $1, leased_until = now() + interval '{LEASE}'
             from next where id = next_id returning {COLUMNS}"
        );
        let client = self.0.get().await?;
        let row = client.query_opt(&client.prepare_cached(&sql).await?, &[&worker]).await?;
        Ok(row.as_ref().map(Job::read).transpose()?)
    }

    /// Finishes a job that is `worker`'s. Doing it again with the same outcome changes nothing and is no error: the answer
    /// to the first may have been lost.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn finish(&self, id: i64, worker: &str, how: Outcome, output: &str) -> Result<Job, JobError> {
        let state = match how {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
        };
        let sql = format!(
            "update render_jobs set state = $3, output = $4, leased_until = null, finished_at = coalesce(finished_at, now())
             where id = $1 and worker = $2 and state in ('rendering', $3) returning {COLUMNS}"
        );
        let client = self.0.get().await?;
        let statement = client.prepare_cached(&sql).await?;
        if let Some(row) = client.query_opt(&statement, &[&id, &worker, &state, &output]).await? {
            return Ok(Job::read(&row)?);
        }
        let found = client.prepare_cached("select state from render_jobs where id = $1").await?;
        match client.query_opt(&found, &[&id]).await? {
            None => Err(JobError::Absent(id)),
            Some(row) => Err(JobError::NotYours { id, state: row.try_get(0)?, worker: worker.to_owned() }),
        }
    }
}
