//! Readiness as a tower `Service`, for hyper, axum's `route_service`, tonic or whatever else speaks `http`.
//!
//! It answers every request; which path that is, is the router's affair. Not in here: how the answer is found.

use super::{Answer, Readiness};
use crate::connect::BoxFuture;
use http::{Request, Response, StatusCode, header};
use std::convert::Infallible;
use std::task::{Context, Poll};

/// The service.
#[derive(Clone, Debug)]
pub struct ReadyService(Readiness);

impl ReadyService {
    /// Serves a readiness.
    #[must_use]
    pub const fn new(readiness: Readiness) -> Self {
        Self(readiness)
    }
}

impl<B> tower_service::Service<Request<B>> for ReadyService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let readiness = self.0.clone();
        Box::pin(async move { Ok(response(&readiness.check().await)) })
    }
}

fn response(answer: &Answer) -> Response<String> {
    let mut response = Response::new(answer.body());
    *response.status_mut() = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
