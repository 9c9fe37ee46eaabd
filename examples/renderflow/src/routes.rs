//! HTTP: what is asked for, and what each failure is answered with.

use crate::jobs::{Job, JobError, Jobs, Outcome};
use crate::log::Log;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pgmedic_pool::metrics::PoolCollector;
use pgmedic_pool::tokio_postgres::error::SqlState;
use pgmedic_pool::{Pool, PoolCell, Readiness, readiness};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use std::sync::Arc;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    jobs: Jobs,
    log: Log,
    readiness: Readiness,
    metrics: Arc<Registry>,
}

impl FromRef<Shared> for Readiness {
    fn from_ref(shared: &Shared) -> Self {
        shared.readiness.clone()
    }
}

/// Every route. `cell` is empty until the schema is there; `pool` is the one that will be in it, whose metrics are shown
/// from the start.
pub fn router(cell: &PoolCell, pool: &Pool, log: Log) -> Router {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(PoolCollector::new().with(pool.clone())));
    let shared = Shared {
        jobs: Jobs::new(cell.clone()),
        log,
        readiness: Readiness::of_cell(cell.clone()),
        metrics: Arc::new(registry),
    };
    Router::new()
        .route("/api/v1/jobs", post(create).get(list))
        .route("/api/v1/jobs/claim", post(claim))
        .route("/api/v1/jobs/{id}/finish", post(finish))
        .route("/api/v1/health", get(health))
        .route("/api/v1/ready", get(readiness::axum::ready))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

/// The process is there and answers: nothing more. A platform restarts what fails this, and a restart mends no database.
async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// What Prometheus scrapes: `pg_pool_*`.
async fn metrics(State(shared): State<Shared>) -> Result<Response, StatusCode> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &shared.metrics)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// `POST /api/v1/jobs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewJob {
    scene: String,
    frames: i32,
}

async fn create(State(shared): State<Shared>, Json(new): Json<NewJob>) -> Result<Response, Failed> {
    let job = shared
        .jobs
        .create(&new.scene, new.frames)
        .await
        .map_err(|e| Failed::at("/api/v1/jobs", e, &shared))?;
    Ok((StatusCode::CREATED, Json(job)).into_response())
}

/// `GET /api/v1/jobs?state=queued&after=0&limit=50`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    state: Option<String>,
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

async fn list(State(shared): State<Shared>, Query(which): Query<Which>) -> Result<Json<Vec<Job>>, Failed> {
    let limit = which.limit.unwrap_or(50).clamp(1, 500);
    let listed = shared.jobs.list(which.state.as_deref(), which.after, limit).await;
    listed.map(Json).map_err(|e| Failed::at("/api/v1/jobs", e, &shared))
}

/// `POST /api/v1/jobs/claim`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    worker: String,
}

/// 200 with a job, or 204 where there is none.
async fn claim(State(shared): State<Shared>, Json(claim): Json<Claim>) -> Result<Response, Failed> {
    let claimed =
        shared.jobs.claim(&claim.worker).await.map_err(|e| Failed::at("/api/v1/jobs/claim", e, &shared))?;
    Ok(claimed.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |job| Json(job).into_response()))
}

/// `POST /api/v1/jobs/{id}/finish`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    worker: String,
    outcome: Outcome,
    #[serde(default)]
    output: String,
}

async fn finish(
    State(shared): State<Shared>,
    Path(id): Path<i64>,
    Json(finish): Json<Finish>,
) -> Result<Json<Job>, Failed> {
    let finished = shared.jobs.finish(id, &finish.worker, finish.outcome, &finish.output).await;
    finished.map(Json).map_err(|e| Failed::at("/api/v1/jobs/finish", e, &shared))
}

/// A failure as an answer: `{"error": …}` with the status that tells the client whether to try again.
struct Failed(JobError);

impl Failed {
    /// Into the log as well, with where it happened, unless it is the client's.
    fn at(path: &str, error: JobError, shared: &Shared) -> Self {
        let failed = Self(error);
        if failed.status().is_server_error() {
            shared.log.error(format_args!("{path}: {}", failed.0));
        }
        failed
    }

    fn status(&self) -> StatusCode {
        match &self.0 {
            JobError::Connection(_) => StatusCode::SERVICE_UNAVAILABLE,
            JobError::Absent(_) => StatusCode::NOT_FOUND,
            JobError::NotYours { .. } => StatusCode::CONFLICT,
            // What the schema refuses is the client's mistake.
            JobError::Statement(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            // Its session ended under it (class 57, or no SQLSTATE at all): whether it was done is not known.
            JobError::Statement(error) if error.code().is_none_or(|code| code.code().starts_with("57")) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            JobError::Statement(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = self.status();
        let answer = (status, Json(serde_json::json!({ "error": self.0.to_string() })));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => ([(header::RETRY_AFTER, "1")], answer).into_response(),
            _ => answer.into_response(),
        }
    }
}
