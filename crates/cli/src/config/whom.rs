//! From the keys of `[service.platform]` to a platform that can be asked and to hands that can act: secrets fetched,
//! environment variables heeded that stand in for keys. Not in here: the keys (`platform`).

use super::document::At;
use super::error::{ConfigError, Show};
use super::platform::{FlyKeys, KubernetesKeys, Names, Whom};
use super::{Config, Entry};
use crate::surroundings::Surroundings;
use pgmedic_model::Secret;
use pgmedic_path::hands::Hands;
use pgmedic_path::hands::docker::DockerHands;
use pgmedic_path::hands::fly::FlyHands;
use pgmedic_path::hands::host::Commands;
#[cfg(feature = "kubernetes")]
use pgmedic_path::hands::kubernetes::KubernetesHands;
use pgmedic_path::hands::systemd::SystemdHands;
use pgmedic_path::platform::Platform;
use pgmedic_path::platform::docker::Docker;
use pgmedic_path::platform::fly::{Fly, FlyPlaces};
#[cfg(feature = "kubernetes")]
use pgmedic_path::platform::kubernetes::{Kubernetes, KubernetesNames};
use pgmedic_path::platform::systemd::Systemd;
#[cfg(not(feature = "kubernetes"))]
use pgmedic_path::platform::{Asked, Part, Untold, told::Instance};
use std::path::Path;
use std::sync::Arc;
#[cfg(not(feature = "kubernetes"))]
use tokio::time::Instant;

/// Where flyctl finds its token, the Machines API and the web API (flyctl, `internal/config`; fly-go, `flaps.go`).
const FLY_TOKEN: &str = "FLY_API_TOKEN";
const FLY_MACHINES: &str = "FLY_FLAPS_BASE_URL";
const FLY_WEB: &str = "FLY_API_BASE_URL";

/// Where the docker client finds its engine (docker(1)).
const DOCKER_HOST: &str = "DOCKER_HOST";

/// Whoever tells of a service's parts, and whoever can act on them.
#[derive(Default)]
pub(super) struct Acquainted {
    pub(super) platform: Option<Arc<dyn Platform>>,
    pub(super) hands: Option<Arc<dyn Hands>>,
}

impl Config {
    /// The platform that is asked, and the hands: commands before the platform's own way.
    pub(super) fn acquainted(&self, entry: &Entry, around: &Surroundings) -> Result<Acquainted, ConfigError> {
        let Acquainted { platform, hands } = match &entry.asked {
            None => Acquainted::default(),
            Some(Whom::Fly(keys)) => {
                let fly = self.fly(keys, around)?;
                Acquainted { hands: Some(Arc::new(FlyHands::new(Arc::clone(&fly)))), platform: Some(fly) }
            }
            Some(Whom::Kubernetes(keys)) => self.kubernetes(keys, around)?,
            Some(Whom::Docker(names, host)) => {
                let docker = self.docker(names, host.as_ref(), around)?;
                let hands = DockerHands::new(Arc::clone(&docker), names.proxy.clone());
                Acquainted { hands: Some(Arc::new(hands)), platform: Some(docker) }
            }
            Some(Whom::Systemd(names)) => {
                let systemd = Systemd::new(names.api.clone(), names.db.clone());
                let hands = SystemdHands::new(systemd.clone(), names.proxy.clone());
                Acquainted { hands: Some(Arc::new(hands)), platform: Some(Arc::new(systemd)) }
            }
        };
        let commands = Commands::new(entry.commands.iter().cloned())
            .map_err(|problem| ConfigError::whole(&self.file, format!("[service.platform]: {problem}")))?;
        let hands = match hands {
            Some(hands) => Some(commands.before(hands)),
            None if commands.is_empty() => None,
            None => Some(Arc::new(commands) as Arc<dyn Hands>),
        };
        Ok(Acquainted { platform, hands })
    }

    /// Fly. Its own variables (flyctl's) stand in for keys that are not there.
    fn fly(&self, keys: &FlyKeys, around: &Surroundings) -> Result<Arc<Fly>, ConfigError> {
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

    /// Kubernetes, in a build that has it not.
    #[cfg(not(feature = "kubernetes"))]
    #[expect(clippy::unnecessary_wraps, reason = "the other build reads files here")]
    fn kubernetes(&self, _: &KubernetesKeys, _: &Surroundings) -> Result<Acquainted, ConfigError> {
        Ok(Acquainted { platform: Some(Arc::new(NotBuilt)), hands: None })
    }

    /// Kubernetes. Without a key the kubeconfig is where kubectl finds it; where there is none, the pod's own account.
    #[cfg(feature = "kubernetes")]
    fn kubernetes(&self, keys: &KubernetesKeys, around: &Surroundings) -> Result<Acquainted, ConfigError> {
        let refused = |problem: String| {
            ConfigError::whole(&self.file, format!("[service.platform] of kind kubernetes: {problem}"))
        };
        let token = keys.token.as_ref().map(|at| self.fetched("token", at, around)).transpose()?;
        let names = KubernetesNames {
            api: keys.names.api.clone(),
            db: keys.names.db.clone(),
            namespace: keys.namespace.clone(),
        };
        let variable = |name: &str| around.variable(name).filter(|text| !text.is_empty());
        // kubectl would merge several files; the first that is there is read.
        let listed = variable("KUBECONFIG").map(|all| std::env::split_paths(&all).collect::<Vec<_>>());
        let own = || variable("HOME").map(|home| vec![Path::new(&home).join(".kube/config")]);
        let candidates = keys.kubeconfig.clone().map(|path| vec![path]).or(listed).or_else(own);
        let file = candidates.into_iter().flatten().find(|path| path.exists());
        let connected = match (file, variable("KUBERNETES_SERVICE_HOST")) {
            (Some(path), _) => {
                let shown = path.display();
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| refused(format!("{shown} cannot be read: {error}")))?;
                let folder = path.parent().unwrap_or(Path::new("."));
                let token = token.map(Secret::new);
                Kubernetes::by_kubeconfig(names, &text, folder, keys.context.as_deref(), token)
                    .map_err(|problem| refused(format!("{shown}: {problem}")))?
            }
            (None, Some(host)) => {
                let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
                Kubernetes::by_pod(names, &host, &port).map_err(refused)?
            }
            (None, None) => {
                let problem =
                    "no kubeconfig (platform.kubeconfig, KUBECONFIG, ~/.kube/config), and this is no pod";
                return Err(refused(problem.to_owned()));
            }
        };
        let connected = Arc::new(connected);
        let hands = KubernetesHands::new(Arc::clone(&connected), keys.names.proxy.clone());
        Ok(Acquainted { platform: Some(connected), hands: Some(Arc::new(hands)) })
    }

    /// Docker. Without a key the engine is where the docker client finds it.
    fn docker(
        &self,
        names: &Names,
        host: Option<&At<String>>,
        around: &Surroundings,
    ) -> Result<Arc<Docker>, ConfigError> {
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

/// Stands in for a window that this build has not: it tells why it tells nothing.
#[cfg(not(feature = "kubernetes"))]
#[derive(Debug)]
struct NotBuilt;

#[cfg(not(feature = "kubernetes"))]
impl Platform for NotBuilt {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn instances(&self, _: Part, _: Instant) -> Asked<'_, Vec<Instance>> {
        Box::pin(async {
            Err(Untold::NotOffered(
                "this pgmedic is built without Kubernetes: build it with --features kubernetes",
            ))
        })
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
