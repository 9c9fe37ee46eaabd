//! What the routes that act are told, and whom they tell. The gate has seen the token.

use super::acts::{Approval, Scope};
use super::problem::Problem;
use super::routes::Id;
use super::{Reply, Shared, within};
use hyper::StatusCode;
use pgmedic_model::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Who says so, where nobody is named.
const NOBODY: &str = "api";
/// The longest pause with an end.
const LONGEST_PAUSE_S: u64 = 366 * 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    by: Option<String>,
    until: Option<Timestamp>,
    for_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    remedy: String,
    service: Option<String>,
    by: Option<String>,
}

impl Shared {
    /// Carries out an order; `part` is the path's part in braces.
    pub(super) async fn order(&self, id: Id, part: &str, body: &[u8]) -> Result<Reply, Problem> {
        let (status, done) = match id {
            Id::Approve => (StatusCode::ACCEPTED, self.approve(part, read(body)?).await?),
            Id::PauseService | Id::PauseAll => {
                let pause: Pause = read(body)?;
                let until = self.until(&pause)?;
                let scope = self.scope(id == Id::PauseService, part)?;
                (StatusCode::OK, within(self.acts.pause(scope, until, name(pause.by))).await?)
            }
            Id::ResumeService | Id::ResumeAll => {
                let By { by } = read(body)?;
                let scope = self.scope(id == Id::ResumeService, part)?;
                (StatusCode::OK, within(self.acts.resume(scope, name(by))).await?)
            }
            Id::Reload => {
                let By { by } = read(body)?;
                (StatusCode::OK, within(self.acts.reload(name(by))).await?)
            }
            _ => {
                return Err(Problem::not_found(
                    "nothing acts there",
                    "GET /api/v1/openapi.json lists what does",
                ));
            }
        };
        Ok(Reply::value(status, &json!({ "schema": "pgmedic.done/1", "done": done })))
    }

    async fn approve(&self, id: &str, order: Approve) -> Result<String, Problem> {
        let incident = self.incident(id).await?;
        if !incident.is_open() {
            return Err(super::Declined::Conflict(format!("incident {} is over", incident.id)).into());
        }
        if order.service.as_ref().is_some_and(|service| !incident.services.contains_key(service)) {
            let next = "GET the incident: services lists them";
            return Err(Problem::request("service is none of the incident's", next));
        }
        let approval = Approval {
            incident: incident.id.clone(),
            service: order.service,
            remedy: order.remedy,
            by: name(order.by),
        };
        within(self.acts.approve(approval)).await
    }

    fn scope(&self, one: bool, part: &str) -> Result<Scope, Problem> {
        if !one {
            return Ok(Scope::All);
        }
        self.with_service(part, |_, name, _| Scope::Service(name.to_owned()))
    }

    fn until(&self, pause: &Pause) -> Result<Option<Timestamp>, Problem> {
        let now = self.config.clock.now();
        match (pause.until, pause.for_s) {
            (Some(_), Some(_)) => Err(Problem::request("until and for_s are both given", "give one of them")),
            (Some(until), None) if until <= now => {
                Err(Problem::request("until has passed", "give a time to come, in RFC 3339 and UTC"))
            }
            (until, None) => Ok(until),
            (None, Some(0)) => Err(Problem::request("for_s is 0", "give the seconds that it is to last")),
            (None, Some(seconds)) => {
                let seconds = i64::try_from(seconds.min(LONGEST_PAUSE_S)).unwrap_or_default();
                Ok(Some(Timestamp(now.0 + seconds * 1000)))
            }
        }
    }
}

/// A body's document; an empty body is an empty one.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        // Of serde's words the place and the kind: what stands there may be anybody's secret, sent by mistake.
        let what = match error.classify() {
            serde_json::error::Category::Data => "is not what this takes",
            _ => "is no JSON",
        };
        Problem::request(
            format!("the body {what}, at line {} column {}", error.line(), error.column()),
            "GET /api/v1/openapi.json says what it takes",
        )
    })
}

/// A name as it is recorded: without control characters, and not too long.
fn name(by: Option<String>) -> String {
    let by: String = by.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    if by.trim().is_empty() { NOBODY.to_owned() } else { by.trim().to_owned() }
}
