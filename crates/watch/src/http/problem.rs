//! What went wrong, as one document: `pgmedic.error/1` with what to do next.

use super::acts::Declined;
use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

/// A refusal or a failure.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    kind: &'static str,
    error: String,
    next: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        error: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { status, kind, error: error.into(), next: next.into(), headers: Vec::new() }
    }

    /// 400.
    pub(super) fn request(error: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request", error, next)
    }

    /// 404.
    pub(super) fn not_found(error: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", error, next)
    }

    /// 405, with what is allowed.
    pub(super) fn method(path: &str, allow: &str) -> Self {
        let error = format!("{path} takes {allow} and nothing else");
        let mut problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", error, format!("use one of: {allow}"));
        problem.headers.extend(HeaderValue::from_str(allow).ok().map(|allow| (ALLOW, allow)));
        problem
    }

    /// 401.
    pub(super) fn token(error: &'static str) -> Self {
        let next = "send Authorization: Bearer with the token of [watch] in pgmedic.toml";
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "token", error, next);
        problem.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pgmedic\"")));
        problem
    }

    /// 503.
    pub(super) fn not_now(error: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", error, next).after(1)
    }

    /// The same with `Retry-After`.
    pub(super) fn after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "schema": "pgmedic.error/1",
            "error": self.error,
            "kind": self.kind,
            "status": self.status.as_u16(),
            "next": self.next,
        })
    }
}

impl From<Declined> for Problem {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Unknown(why) => {
                Self::not_found(why, "GET /api/v1/services and /api/v1/incidents list what there is")
            }
            Declined::Conflict(why) => {
                Self::new(StatusCode::CONFLICT, "conflict", why, "GET the incident: it says what holds now")
            }
            Declined::Refused(why) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "refused",
                why,
                "mend what it names and ask again",
            ),
            Declined::NotNow(why) => Self::not_now(why, "ask again in a moment"),
        }
    }
}
