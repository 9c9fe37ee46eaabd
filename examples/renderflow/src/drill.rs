//! The leak that `pgmedic drill pool-leak` is about: a request that takes a connection, uses it once, and waits for something
//! else while it holds it. Served only where `RENDERFLOW_DRILL=1`; leave this file out of an API of your own.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use pgmedic_pool::PoolCell;
use std::convert::Infallible;

/// `POST /api/v1/drill/hold`: answered by nothing but a failure. The connection is the pool's again when the client goes.
pub fn router(cell: &PoolCell) -> Router {
    Router::new().route("/api/v1/drill/hold", post(hold)).with_state(cell.clone())
}

async fn hold(State(cell): State<PoolCell>) -> Result<Infallible, (StatusCode, String)> {
    let failed = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let client = cell.get().await.map_err(|e| failed(e.to_string()))?;
    let used = client.simple_query("select id from render_jobs limit 1").await;
    used.map_err(|e| failed(crate::jobs::words(&e)))?;
    std::future::pending().await
}
