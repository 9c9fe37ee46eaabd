//! One request, from its head to its answer: the gate, the route, the method, what the client takes, the body.

use super::problem::Problem;
use super::query::{Query, decoded};
use super::reply::Reply;
use super::routes::{Id, ROUTES, Route};
use super::{Shared, accept};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use std::net::IpAddr;
use std::time::Duration;

/// The longest body.
pub(super) const BODY: usize = 16 * 1024;
/// A body must have come within this.
pub(super) const BODY_WITHIN: Duration = Duration::from_secs(5);

impl Shared {
    /// Answers a request.
    pub(super) async fn respond(&self, peer: IpAddr, request: Request<Incoming>) -> Reply {
        let mut counted = "other";
        let reply = self.outcome(peer, request, &mut counted).await.unwrap_or_else(Reply::from);
        *self.board.state().own.requests.entry((counted, reply.status())).or_default() += 1;
        reply
    }

    async fn outcome(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
        counted: &mut &'static str,
    ) -> Result<Reply, Problem> {
        let (head, body) = request.into_parts();
        self.gate.comes_from_here(&head.method, head.version, &head.uri, &head.headers)?;
        let (route, part) = route(&head.method, head.uri.path())?;
        *counted = route.path;
        self.gate.may(route.access, peer, &head.headers)?;
        let accept = text(&head.headers, ACCEPT.as_str());
        if route.gives.is_some() && !accept::takes_json(accept) {
            return Err(not_acceptable("application/json"));
        }
        let query = Query::read(head.uri.query().unwrap_or_default(), route.query)?;
        let part = decoded(part)?;
        if route.takes.is_some() {
            let body = take(&head.headers, body).await?;
            return self.order(route.id, &part, &body).await;
        }
        if route.id == Id::Metrics {
            let both = "text/plain or application/openmetrics-text";
            return self.metrics(accept::format(accept).ok_or_else(|| not_acceptable(both))?);
        }
        self.answer(route.id, &part, &query).await
    }
}

/// The route of a path, and its part in braces, for a method that it takes.
fn route<'p>(method: &Method, path: &'p str) -> Result<(&'static Route, &'p str), Problem> {
    let mut routes = ROUTES.iter().filter_map(|route| Some((route, route.fits(path)?)));
    let Some((route, part)) = routes.next() else {
        let shown: String = path.chars().take(100).collect();
        let next = "GET /api/v1/openapi.json lists what is served; /metrics, /health and /ready are";
        return Err(Problem::not_found(format!("nothing is served at {shown}"), next));
    };
    let fits = match *method {
        Method::GET | Method::HEAD => route.takes.is_none(),
        Method::POST => route.takes.is_some(),
        _ => false,
    };
    if fits { Ok((route, part)) } else { Err(Problem::method(route.path, route.methods())) }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn not_acceptable(gives: &str) -> Problem {
    let error = format!("this answers {gives}, which Accept does not take");
    Problem::new(StatusCode::NOT_ACCEPTABLE, "accept", error, format!("send Accept: {gives}, or none"))
}

/// The body of a POST. Only `application/json` is taken, which no form of another site's page can send unasked.
async fn take(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Problem> {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let charset = parameters.trim();
    let plain = charset.is_empty() || charset.eq_ignore_ascii_case("charset=utf-8");
    if !kind.trim().eq_ignore_ascii_case("application/json")
        || !plain
        || headers.contains_key(CONTENT_ENCODING)
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "this takes JSON alone",
            "send Content-Type: application/json, and no Content-Encoding",
        ));
    }
    let long = || {
        let error = format!("the body is longer than {BODY} bytes");
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            error,
            "nothing that is taken here is that long",
        )
    };
    if body.size_hint().lower() > BODY as u64 {
        return Err(long());
    }
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(long()),
        Ok(Err(_)) => Err(Problem::request("the body broke off", "send as much as Content-Length says")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the body did not come within {} s", BODY_WITHIN.as_secs()),
            "send it at once",
        )),
    }
}
