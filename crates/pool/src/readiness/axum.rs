//! Readiness for axum: `Router::new().route("/api/v1/ready", get(ready)).with_state(readiness)`.
//!
//! Not in here: how the answer is found.

use super::{Answer, Readiness};
use ::axum::extract::{FromRef, State};
use ::axum::http::{StatusCode, header};
use ::axum::response::{IntoResponse, Response};

/// The handler. The router's state is a [`Readiness`], or gives one (`FromRef`).
pub async fn ready(State(readiness): State<Readiness>) -> Answer {
    readiness.check().await
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (status, headers, self.body()).into_response()
    }
}

/// A router with the one route, to merge into another.
pub fn router<S>(path: &str) -> ::axum::Router<S>
where
    S: Clone + Send + Sync + 'static,
    Readiness: FromRef<S>,
{
    ::axum::Router::new().route(path, ::axum::routing::get(ready))
}
