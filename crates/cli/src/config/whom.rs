//! From the keys of `[service.platform]` to a platform that can be asked: secrets fetched, environment variables heeded
//! that stand in for keys. Not in here: the keys (`platform`).

use super::Config;
use super::document::At;
use super::error::{ConfigError, Show};
use super::platform::{FlyKeys, Names, Whom};
use crate::surroundings::Surroundings;
use pgmedic_model::Secret;
use pgmedic_path::platform::Platform;
use pgmedic_path::platform::docker::Docker;
use pgmedic_path::platform::fly::{Fly, FlyPlaces};
use pgmedic_path::platform::systemd::Systemd;
use std::path::Path;
use std::sync::Arc;

/// Where flyctl finds its token, the Machines API and the web API (flyctl, `internal/config`; fly-go, `flaps.go`).
const FLY_TOKEN: &str = "FLY_API_TOKEN";
const FLY_MACHINES: &str = "FLY_FLAPS_BASE_URL";
const FLY_WEB: &str = "FLY_API_BASE_URL";

/// Where the docker client finds its engine (docker(1)).
const DOCKER_HOST: &str = "DOCKER_HOST";

impl Config {
    /// The platform that is asked.
    pub(super) fn platform(
        &self,
        whom: &Whom,
        around: &Surroundings,
    ) -> Result<Arc<dyn Platform>, ConfigError> {
        match whom {
            Whom::Fly(keys) => self.fly(keys, around),
            Whom::Docker(names, host) => self.docker(names, host.as_ref(), around),
            Whom::Systemd(names) => Ok(Arc::new(Systemd::new(names.api.clone(), names.db.clone()))),
        }
    }

    /// Fly. Its own variables (flyctl's) stand in for keys that are not there.
    fn fly(&self, keys: &FlyKeys, around: &Surroundings) -> Result<Arc<dyn Platform>, ConfigError> {
        let variable = |name: &str| around.variable(name).filter(|text| !text.is_empty());
        let token = match &keys.token {
            Some(at) => Some(self.fetched("token", at, around)?),
            None => variable(FLY_TOKEN),
        };
        let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
        let places = FlyPlaces {
            machines: text(&keys.api_url).or_else(|| variable(FLY_MACHINES)),
            web: text(&keys.logs_url).or_else(|| variable(FLY_WEB)),
            api: text(&keys.api),
            db: text(&keys.db),
        };
        let fly = Fly::new(places, token.map(Secret::new).as_ref());
        let problem = |why| ConfigError::whole(&self.file, format!("[service.platform] of kind fly: {why}"));
        Ok(Arc::new(fly.map_err(problem)?))
    }

    /// Docker. Without a key the engine is where the docker client finds it.
    fn docker(
        &self,
        names: &Names,
        host: Option<&At<String>>,
        around: &Surroundings,
    ) -> Result<Arc<dyn Platform>, ConfigError> {
        let variable = |name: &str| around.variable(name).filter(|text| !text.is_empty());
        let docker = |host: &str| Docker::new(host, names.api.clone(), names.db.clone());
        let connected = match (host, variable(DOCKER_HOST)) {
            (Some(at), _) => docker(&at.value).map_err(|problem| {
                self.document().error(at.span.clone(), format!("docker_host: {problem}"), Show::KeysOnly)
            })?,
            (None, Some(host)) => docker(&host)
                .map_err(|problem| ConfigError::whole(&self.file, format!("{DOCKER_HOST}: {problem}")))?,
            (None, None) => docker(&default_socket(variable("XDG_RUNTIME_DIR")))
                .map_err(|problem| ConfigError::whole(&self.file, problem))?,
        };
        Ok(Arc::new(connected))
    }
}

/// The engine's own socket, else that of a rootless one (Docker manual, "Rootless mode").
fn default_socket(runtime: Option<String>) -> String {
    let rootless = runtime.map(|folder| format!("{folder}/docker.sock"));
    match rootless.filter(|path| Path::new(path).exists() && !Path::new("/var/run/docker.sock").exists()) {
        Some(path) => format!("unix://{path}"),
        None => Docker::SOCKET.to_owned(),
    }
}
