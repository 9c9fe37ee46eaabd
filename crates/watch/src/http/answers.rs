//! What the routes that read answer.

use super::acts::Filter;
use super::documents::{Services, line, open, service};
use super::problem::Problem;
use super::query::Query;
use super::routes::Id;
use super::{Reply, Shared, within};
use crate::incident::Incident;
use crate::metrics;
use crate::seen::Kind;
use hyper::StatusCode;
use pgmedic_model::{Status, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A loop that did not go round for so long hangs.
pub(super) const BEAT_WITHIN: Duration = Duration::from_secs(10);

/// The default of `since`, in ms before now.
const AN_HOUR: i64 = 3_600_000;

impl Shared {
    /// The answer of a route that reads; `part` is the path's part in braces.
    pub(super) async fn answer(&self, id: Id, part: &str, query: &Query<'_>) -> Result<Reply, Problem> {
        match id {
            Id::Health => Ok(self.health()),
            Id::Ready => Ok(self.ready()),
            Id::OpenApi => Reply::json(StatusCode::OK, &super::openapi::document()),
            Id::Services => self.services(query),
            Id::Service => self.with_service(part, |state, name, patient| {
                Reply::json(StatusCode::OK, &service(state, name, patient))
            })?,
            Id::Report => self.report(part, query),
            Id::Looks => self.looks(part, query).await,
            Id::Incidents => self.incidents(query).await,
            Id::Incident => {
                let incident = self.incident(part).await?;
                Reply::json(StatusCode::OK, &*incident)
            }
            Id::Metrics | Id::Approve | Id::PauseService | Id::ResumeService => Err(not_here()),
            Id::PauseAll | Id::ResumeAll | Id::Reload => Err(not_here()),
        }
    }

    fn health(&self) -> Reply {
        let beat = self.board.state().own.beat;
        let age = beat.map(|at| at.elapsed());
        let (status, word) = match age {
            Some(age) if age <= BEAT_WITHIN => (StatusCode::OK, "alive"),
            Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "hung"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        };
        let age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let version = env!("CARGO_PKG_VERSION");
        let document = json!({ "schema": "pgmedic.health/1", "status": word, "beat_age_ms": age_ms, "version": version });
        Reply::value(status, &document)
    }

    fn ready(&self) -> Reply {
        let state = self.board.state();
        let looked_at = state.services.values().filter(|p| p.last.is_some()).count();
        let ready = state.own.ready_at.is_some() || looked_at == state.services.len();
        let (status, word) =
            if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
        let services = state.services.len();
        let document = json!({ "schema": "pgmedic.ready/1", "status": word, "services": services, "looked_at": looked_at });
        Reply::value(status, &document)
    }

    /// The page of metrics. At most a few are on their way at once: each may be megabytes.
    pub(super) fn metrics(&self, format: metrics::Format) -> Result<Reply, Problem> {
        let Ok(permit) = Arc::clone(&self.pages).try_acquire_owned() else {
            let error = "too many pages of metrics are on their way to others who have not taken them yet";
            return Err(Problem::not_now(error, "ask again in a moment"));
        };
        let page = metrics::render(&self.board.state(), format);
        Ok(Reply::page(page, format.content_type(), permit))
    }

    fn services(&self, query: &Query<'_>) -> Result<Reply, Problem> {
        let wanted = match query.word("status")? {
            None => None,
            Some("ok") => Some(Status::Ok),
            Some("warning") => Some(Status::Warning),
            Some("critical") => Some(Status::Critical),
            Some(_) => Some(Status::Unknown),
        };
        let state = self.board.state();
        let mut open = open(&state);
        let lines = state
            .services
            .iter()
            .map(|(name, patient)| line(&state, name, patient, open.remove(&**name).unwrap_or_default()));
        let services = lines.filter(|l| wanted.is_none_or(|w| w == l.status)).collect();
        let document =
            Services { schema: "pgmedic.services/1", paused: state.paused.contains("*"), services };
        Reply::json(StatusCode::OK, &document)
    }

    fn report(&self, name: &str, query: &Query<'_>) -> Result<Reply, Problem> {
        let kind = query.word("kind")?;
        let report = self.with_service(name, |_, _, patient| {
            let seen = match kind {
                Some("walk") => &patient.last_walk,
                Some(_) => &patient.last,
                None => &patient.last,
            };
            let seen = seen.as_ref().filter(|s| kind != Some("look") || s.kind == Kind::Look);
            seen.map(|s| Arc::clone(&s.report))
        })?;
        match report {
            Some(report) => Reply::json(StatusCode::OK, &*report),
            None => Err(Problem::not_found(
                format!("service {} has no such report yet", shown(name)),
                "ask again after the next look, or without kind",
            )),
        }
    }

    async fn looks(&self, name: &str, query: &Query<'_>) -> Result<Reply, Problem> {
        self.with_service(name, |_, _, _| ())?;
        let since = match query.text("since") {
            None => Timestamp(self.config.clock.now().0 - AN_HOUR),
            Some(text) => text.parse::<Timestamp>().map_err(|_| {
                Problem::request("since is no RFC 3339 time in UTC", "write it as 2026-11-23T03:12:09Z")
            })?,
        };
        let looks = within(self.history.looks(name, since, query.limit()?)).await?;
        Ok(Reply::value(
            StatusCode::OK,
            &json!({ "schema": "pgmedic.looks/1", "service": name, "since": since, "looks": looks }),
        ))
    }

    async fn incidents(&self, query: &Query<'_>) -> Result<Reply, Problem> {
        let filter = Filter {
            open: query.word("state")?.map(|word| word == "open"),
            service: query.text("service").map(str::to_owned),
            limit: query.limit()?,
        };
        let list = within(self.history.incidents(filter)).await?;
        let lines: Vec<Value> = list.iter().map(|i| without_report(i)).collect();
        Ok(Reply::value(StatusCode::OK, &json!({ "schema": "pgmedic.incidents/1", "incidents": lines })))
    }

    /// An incident as the board has it, else as history has.
    pub(super) async fn incident(&self, id: &str) -> Result<Arc<Incident>, Problem> {
        let on_board = self.board.state().incidents.get(id).map(Arc::clone);
        if let Some(incident) = on_board {
            return Ok(incident);
        }
        within(self.history.incident(id)).await?.ok_or_else(|| {
            Problem::not_found(
                format!("no incident {} is known", shown(id)),
                "GET /api/v1/incidents lists them",
            )
        })
    }

    /// Looks at a service on the board.
    pub(super) fn with_service<T>(
        &self,
        name: &str,
        look: impl FnOnce(&crate::board::State, &str, &crate::board::Patient) -> T,
    ) -> Result<T, Problem> {
        let state = self.board.state();
        match state.services.get(name) {
            Some(patient) => Ok(look(&state, name, patient)),
            None => {
                let names = state.services.keys().map(|n| &**n);
                let near = pgmedic_model::nearest::nearest(name, names).map_or_else(
                    || "GET /api/v1/services lists them".to_owned(),
                    |near| format!("is it {near}? GET /api/v1/services lists them"),
                );
                Err(Problem::not_found(format!("no service {} is watched", shown(name)), near))
            }
        }
    }
}

fn not_here() -> Problem {
    Problem::not_found("nothing is answered there", "GET /api/v1/openapi.json lists what is")
}

fn without_report(incident: &Incident) -> Value {
    let mut value = serde_json::to_value(incident).unwrap_or_default();
    if let Some(report) = value.get_mut("report") {
        *report = Value::Null;
    }
    value
}

/// A name as a message repeats it.
fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(100).collect::<String>())
}
