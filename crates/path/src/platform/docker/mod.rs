//! Docker: containers by name or compose service, their states, ends, health, logs and data volumes, by the Engine API
//! over its unix socket, or over TCP without TLS.
//!
//! Facts: Docker Engine API reference, v1.41; recorded from 20.10.24. Podman's socket speaks the same. Not in here: what it
//! means, and anything that changes something (`hands/docker`).

pub(crate) mod ask;
mod container;
mod logs;
mod place;
mod volumes;

use super::newest::newest_lines;
use super::told::{Instance, PlatformVolume};
use super::{Asked, Part, Platform, Untold};
use crate::http::url::Endpoint;
use container::Container;
use futures_util::future::{join_all, try_join_all};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pgmedic_model::Host;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Bytes read of a list of containers.
const LIST: usize = 2 * 1024 * 1024;
/// Bytes read of one container's account; with its health log some ten thousand.
const ACCOUNT: usize = 1024 * 1024;
/// Most containers of one part that are looked at.
const MOST: usize = 16;
/// Most containers whose logs are read.
const MOST_LOGS: usize = 4;
/// Labels that compose puts on what it makes (compose-spec, docker/compose `pkg/api/labels.go`).
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The containers of the API and the database.
#[derive(Debug)]
pub struct Docker {
    endpoint: Endpoint,
    api: Option<String>,
    db: Option<String>,
    /// The API version that both speak, once it is known.
    version: OnceCell<String>,
}

/// A container of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<std::collections::HashMap<String, String>>,
}

impl Docker {
    /// Where the engine listens by default.
    pub const SOCKET: &'static str = "unix:///var/run/docker.sock";

    /// An engine by its address as `DOCKER_HOST` has it, and a container's name, a compose service's, or
    /// `project/service`, for each part.
    ///
    /// # Errors
    /// Where the address is none, or one that is not spoken (ssh, TLS), with the next step.
    pub fn new(host: &str, api: Option<String>, db: Option<String>) -> Result<Self, String> {
        Ok(Self { endpoint: place::endpoint(host)?, api, db, version: OnceCell::new() })
    }

    pub(crate) fn name(&self, part: Part) -> Result<&str, Untold> {
        match part {
            Part::Api => self.api.as_deref().ok_or(Untold::NotNamed("api")),
            Part::Db => self.db.as_deref().ok_or(Untold::NotNamed("db")),
        }
    }

    /// What a person puts behind `docker` to speak to the same engine.
    fn option(&self) -> String {
        match &self.endpoint.host {
            Host::Socket(_) if self.endpoint.shown == Self::SOCKET => String::new(),
            _ => format!("-H {} ", crate::paste::argument(&self.endpoint.shown)),
        }
    }

    /// The containers of a part.
    async fn containers(&self, part: Part, until: Instant) -> Result<Vec<Container>, Untold> {
        let ids = self.find(self.name(part)?, until).await?;
        try_join_all(ids.iter().take(MOST).map(|id| self.inspect(id, until))).await
    }

    /// The containers of that name or compose service, as instances.
    pub(crate) async fn named(&self, name: &str, until: Instant) -> Result<Vec<Instance>, Untold> {
        let ids = self.find(name, until).await?;
        try_join_all(ids.iter().take(MOST).map(|id| self.look(id, until))).await
    }

    /// One container, by its whole id.
    pub(crate) async fn look(&self, id: &str, until: Instant) -> Result<Instance, Untold> {
        Ok(self.inspect(id, until).await?.instance(&self.option()))
    }

    async fn inspect(&self, id: &str, until: Instant) -> Result<Container, Untold> {
        self.get_json(&format!("/containers/{}/json", escape(id)), ACCOUNT, until).await
    }

    /// The ids of the container of that name, else of the compose service's containers. A list is asked for and not the
    /// container itself, because the engine takes a name like `db` for the beginning of any id.
    async fn find(&self, name: &str, until: Instant) -> Result<Vec<String>, Untold> {
        let (project, service) = match name.split_once('/') {
            Some((project, service)) => (Some(project), service),
            None => (None, name),
        };
        if project.is_none() {
            // The filter is a regular expression and finds parts of names, too.
            let listed = self.list(&serde_json::json!({ "name": [name] }), until).await?;
            let full = format!("/{name}");
            let named = listed.into_iter().find(|one| one.names.contains(&full));
            if let Some(one) = named {
                return Ok(vec![one.id]);
            }
        }
        let mut labels = vec![format!("{SERVICE}={service}"), format!("{ONE_OFF}=False")];
        labels.extend(project.map(|project| format!("{PROJECT}={project}")));
        let listed = self.list(&serde_json::json!({ "label": labels }), until).await?;
        let project_of = |one: &Listed| one.labels.as_ref().and_then(|l| l.get(PROJECT)).cloned();
        let mut projects: Vec<String> = listed.iter().filter_map(project_of).collect();
        projects.sort();
        projects.dedup();
        match (listed.is_empty(), projects.len()) {
            (true, _) => Err(Untold::Failed(format!(
                "the engine knows no container and no compose service {name:?}; docker {}ps -a lists what there is",
                self.option()
            ))),
            (false, 0 | 1) => Ok(listed.into_iter().map(|one| one.id).collect()),
            (false, _) => Err(Untold::Failed(format!(
                "several compose projects have a service {service:?}: {}; write project/{service}",
                projects.join(", ")
            ))),
        }
    }

    async fn list(&self, filters: &serde_json::Value, until: Instant) -> Result<Vec<Listed>, Untold> {
        let path = format!("/containers/json?all=1&filters={}", escape(&filters.to_string()));
        self.get_json(&path, LIST, until).await
    }

    /// The newest lines of a part's containers, by their times where there are several.
    async fn read_log(&self, part: Part, until: Instant) -> Result<String, Untold> {
        let mut containers = self.containers(part, until).await?;
        containers.sort_by_key(|one| std::cmp::Reverse(one.started_at()));
        containers.truncate(if part == Part::Db { 1 } else { MOST_LOGS });
        let read = join_all(containers.iter().map(|one| self.log_of(one, part, until))).await;
        let (mut lines, mut why) = (Vec::new(), None);
        for log in read {
            match log {
                Ok(text) => lines.extend(text.lines().map(str::to_owned)),
                Err(error) => why = Some(error),
            }
        }
        match why {
            Some(why) if lines.is_empty() => Err(why),
            _ => Ok(newest_lines(lines, containers.len() > 1)),
        }
    }

    async fn log_of(&self, one: &Container, part: Part, until: Instant) -> Result<String, Untold> {
        // Postgres writes its own times; a line that continues another begins with a tab and must keep it.
        let times = u8::from(part == Part::Api);
        let tail = logs::LINES;
        let path =
            format!("/containers/{}/logs?stdout=1&stderr=1&timestamps={times}&tail={tail}", escape(one.id()));
        let answer = self.get(&path, logs::LIMIT, until).await?;
        logs::text(&answer.body, one.has_terminal())
            .map_err(|why| Untold::Failed(format!("the log of {}: {why}", one.name())))
    }
}

impl Platform for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn instances(&self, part: Part, until: Instant) -> Asked<'_, Vec<Instance>> {
        Box::pin(async move {
            let option = self.option();
            let containers = self.containers(part, until).await?;
            Ok(containers.iter().map(|one| one.instance(&option)).collect())
        })
    }

    fn volumes(&self, until: Instant) -> Asked<'_, Vec<PlatformVolume>> {
        Box::pin(self.read_volumes(until))
    }

    fn log(&self, part: Part, until: Instant) -> Asked<'_, String> {
        Box::pin(self.read_log(part, until))
    }
}

/// A text as part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
