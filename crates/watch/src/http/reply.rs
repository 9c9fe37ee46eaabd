//! An answer with the headers that every answer has: nothing is kept, guessed, framed or read from elsewhere.

use super::problem::Problem;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// A page with the permit that is given back once it has been written.
struct Held(String, #[expect(dead_code, reason = "held, and given back by its drop")] OwnedSemaphorePermit);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Reply {
    /// A document.
    pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Result<Self, Problem> {
        match serde_json::to_vec(document) {
            Ok(bytes) => Ok(Self::of(status, bytes.into())),
            Err(error) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "defect",
                format!("the document cannot be written: {error}"),
                "this is a defect of pgmedic: please report it",
            )),
        }
    }

    /// A document that is one already.
    pub(super) fn value(status: StatusCode, document: &Value) -> Self {
        Self::of(status, document.to_string().into())
    }

    fn of(status: StatusCode, body: Bytes) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body }
    }

    /// A page of metrics.
    pub(super) fn page(page: String, content_type: &'static str, permit: OwnedSemaphorePermit) -> Self {
        let body = Bytes::from_owner(Held(page, permit));
        Self { status: StatusCode::OK, content_type, headers: Vec::new(), body }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)).collect::<Vec<_>>());
        response
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let mut reply = Self::value(problem.status, &problem.document());
        reply.headers = problem.headers;
        reply
    }
}
