//! One request at Fly's API, and what its refusals mean for whoever configured it. Lists are asked for here; what changes
//! something is asked for by `hands/fly`, which this lends its way of asking.

use super::super::Untold;
use super::Fly;
use crate::http::url::Endpoint;
use crate::http::{Answer, Request, exchange};
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::app::probe::in_words;
use crate::rooms::dns::probe::Resolver;
use hyper::Method;
use pgmedic_model::{Secret, mask};
use serde_json::Value;
use tokio::time::Instant;

/// The header by which Fly knows a request again (fly-go, `flaps/flaps.go`).
const REQUEST_ID: &str = "fly-request-id";
/// Characters of Fly's words that are shown.
const SHOWN: usize = 200;

/// A request to the Machines API, besides lists.
#[derive(Clone, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    /// The lease that it is asked under.
    pub(crate) nonce: Option<&'a str>,
    /// JSON; empty for none.
    pub(crate) body: &'a str,
}

/// What it needs a token for, where there is none.
pub(crate) const NO_TOKEN: &str =
    "no token: set FLY_API_TOKEN, or `token` in [service.platform] (`fly tokens create readonly`)";

impl Fly {
    /// True where there is a token to ask with.
    pub(crate) const fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Asks the Machines API once, and gives the answer as it came.
    pub(crate) async fn send(
        &self,
        asking: &Asking<'_>,
        limit: usize,
        until: Instant,
    ) -> Result<Answer, HttpOutcome> {
        let endpoint = self.machines.at(asking.path);
        // fly-go, `flaps/flaps_machines.go`, `NonceHeader`.
        let nonce = asking.nonce.map(|nonce| ("fly-machine-lease-nonce", nonce));
        let request = Request {
            method: asking.method.clone(),
            authorization: self.authorization.as_ref(),
            headers: nonce.as_slice(),
            body: asking.body,
            ..Request::get(&endpoint, limit)
        };
        exchange(request, &Resolver::default(), until).await.result
    }

    /// A list, asked for once. Nothing is tried a second time: an API that says 429 has been asked too often already.
    pub(super) async fn get(
        &self,
        base: &Endpoint,
        path: &str,
        limit: usize,
        until: Instant,
    ) -> Result<Vec<Value>, Untold> {
        let Some(authorization) = &self.authorization else {
            return Err(Untold::Failed(NO_TOKEN.to_owned()));
        };
        let endpoint = base.at(path);
        let asked = Request { authorization: Some(authorization), ..Request::get(&endpoint, limit) };
        let exchange = exchange(asked, &Resolver::default(), until).await;
        let failed = |what: String| Untold::Failed(format!("GET {}: {what}", endpoint.shown));
        let answer = exchange.result.map_err(|outcome| failed(in_words(&outcome)))?;
        match answer.status {
            200 => list(&answer).map_err(failed),
            _ => Err(failed(refusal(&answer))),
        }
    }
}

/// The list in an answer: the answer itself, or its `data` (the log's).
fn list(answer: &Answer) -> Result<Vec<Value>, String> {
    if !answer.whole {
        return Err(format!("the answer broke off, or is longer than {} bytes", answer.body.len()));
    }
    let value = serde_json::from_slice(&answer.body).map_err(|error| format!("not JSON: {error}"))?;
    match value {
        Value::Array(list) => Ok(list),
        Value::Object(mut object) => match object.remove("data") {
            Some(Value::Array(list)) => Ok(list),
            _ => Err("not the list that was asked for".to_owned()),
        },
        _ => Err("not the list that was asked for".to_owned()),
    }
}

/// What Fly knows the request by.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    let id = answer.headers.get(REQUEST_ID)?.to_str().ok()?;
    Some(mask::excerpt(id, 64))
}

/// The status, what Fly said to it, and the request's id.
pub(crate) fn said(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let member = |name: &str| body.as_ref()?.get(name)?.as_str().map(|text| mask::excerpt(text, SHOWN));
    let said = member("error").or_else(|| member("message"));
    let said = said.or_else(|| member("status")).map(|said| format!(" {said}")).unwrap_or_default();
    let id = request_id(answer).map(|id| format!(" ({REQUEST_ID} {id})")).unwrap_or_default();
    format!("status {}{said}{id}", answer.status)
}

/// What Fly said instead of a list, and the next step.
fn refusal(answer: &Answer) -> String {
    let step = match answer.status {
        401 => "; the token is not accepted: make one with `fly tokens create readonly`",
        403 => {
            "; the token may not read this app: make one for its organisation with `fly tokens create readonly`"
        }
        404 => "; there is no such app for this token: compare its name with `fly apps list`",
        429 => "; asked too often: Fly takes one request a second for each action, and it is not tried again",
        408 | 500..=599 => "; Fly's API itself fails: see status.flyio.net",
        _ => "",
    };
    format!("{}{step}", said(answer))
}

/// The `Authorization` header for a token as it may be configured: with or without its scheme, one or several joined by
/// commas. Macaroons go as `FlyV1`, and alone; anything else as `Bearer` (fly-go, `tokens.go`, `normalized`).
pub(super) fn authorization(token: &Secret) -> Secret {
    let mut bare = token.reveal().trim();
    while let Some((scheme, rest)) = bare.split_once(' ') {
        if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("flyv1") {
            break;
        }
        bare = rest.trim_start();
    }
    let macaroon = |part: &&str| ["fm1r_", "fm1a_", "fm2_"].iter().any(|prefix| part.starts_with(prefix));
    let macaroons: Vec<&str> = bare.split(',').map(str::trim).filter(macaroon).collect();
    Secret::new(if macaroons.is_empty() {
        format!("Bearer {bare}")
    } else {
        format!("FlyV1 {}", macaroons.join(","))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_token_get_their_scheme() {
        for (token, header) in [
            ("fo1_abc", "Bearer fo1_abc"),
            (" Bearer fo1_abc\n", "Bearer fo1_abc"),
            ("FlyV1 fm2_a,fm2_b", "FlyV1 fm2_a,fm2_b"),
            ("fm2_a,fo1_c,fm1r_b", "FlyV1 fm2_a,fm1r_b"),
            ("FlyV1 FlyV1 fm2_a", "FlyV1 fm2_a"),
        ] {
            assert_eq!(authorization(&Secret::new(token)).reveal(), header, "{token}");
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = hyper::HeaderMap::new();
        headers.insert(REQUEST_ID, "01J-ord".parse().unwrap());
        Answer { status, headers, body: body.as_bytes().to_vec(), whole: true }
    }

    #[test]
    fn a_refusal_says_what_fly_said_the_request_and_the_next_step() {
        assert_eq!(
            refusal(&answer(404, r#"{"error":"app not found"}"#)),
            "status 404 app not found (fly-request-id 01J-ord); there is no such app for this token: compare its name with `fly apps list`"
        );
        assert!(refusal(&answer(422, r#"{"message":"odd"}"#)).starts_with("status 422 odd ("));
        assert!(refusal(&answer(503, "<html>")).contains("see status.flyio.net"));
    }

    #[test]
    fn a_list_is_a_list() {
        assert_eq!(list(&answer(200, "[1]")).unwrap().len(), 1);
        assert_eq!(list(&answer(200, r#"{"data":[1,2],"meta":{}}"#)).unwrap().len(), 2);
        for body in ["{}", "null", "{\"data\":3}", "[", "", "SSH-2.0"] {
            assert!(list(&answer(200, body)).is_err(), "{body}");
        }
        assert!(list(&Answer { whole: false, ..answer(200, "[]") }).is_err());
    }
}
