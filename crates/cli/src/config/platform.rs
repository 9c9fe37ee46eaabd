//! `[service.platform]`: who can restart, extend, and read logs, disks and listeners.
//!
//! All of it is checked. What opens a window on this host and whom to ask is for every walk; the commands and `proxy` are
//! for whoever mends. Not in here: making a platform or hands of it (`whom`).

use super::document::{At, Document, Section};
use super::error::{ConfigError, Show};
use super::resolve::{http_url, is_reference};
use pgmedic_model::Deed;
use pgmedic_path::hands::host;
use pgmedic_path::service::{HostPaths, Window};
use std::path::{Path, PathBuf};

/// What the section says.
#[derive(Default)]
pub(super) struct Platform {
    pub(super) window: Window,
    pub(super) api_log: Option<PathBuf>,
    /// Whom else to ask.
    pub(super) asked: Option<Whom>,
    /// Commands, each an argument list.
    pub(super) commands: Vec<(Deed, Vec<String>)>,
}

/// A platform that is asked, its secrets not fetched yet.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// Fly.
    Fly(FlyKeys),
    /// Docker's engine, by its address where one is given.
    Docker(Names, Option<At<String>>),
    /// A cluster.
    Kubernetes(KubernetesKeys),
    /// Units of this host.
    Systemd(Names),
}

/// `api`, `db` and `proxy`.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) api: Option<String>,
    pub(super) db: Option<String>,
    /// The proxy or pooler: nobody asks about it, it can be restarted.
    pub(super) proxy: Option<String>,
}

impl Names {
    /// Nobody is there to ask about.
    fn tells_nothing(&self) -> bool {
        self.api.is_none() && self.db.is_none()
    }
}

/// The keys of `kind = "fly"`.
#[derive(Clone, Debug, Default)]
pub(super) struct FlyKeys {
    pub(super) api: Option<At<String>>,
    pub(super) db: Option<At<String>>,
    pub(super) token: Option<At<String>>,
    pub(super) api_url: Option<At<String>>,
    pub(super) logs_url: Option<At<String>>,
}

/// The keys of `kind = "kubernetes"`.
#[cfg_attr(
    not(feature = "kubernetes"),
    expect(dead_code, reason = "what is configured is checked in every build")
)]
#[derive(Clone, Debug, Default)]
pub(super) struct KubernetesKeys {
    pub(super) names: Names,
    pub(super) namespace: Option<String>,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) token: Option<At<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// fly: apps, asked over its API.
    Fly,
    /// docker: containers, asked over the engine's API.
    Docker,
    /// kubernetes: workloads, asked over the API server.
    Kubernetes,
    /// systemd: named units of this host.
    Units,
    /// host: paths and commands of this host.
    Host,
}

const KINDS: [(&str, Kind); 5] = [
    ("fly", Kind::Fly),
    ("docker", Kind::Docker),
    ("kubernetes", Kind::Kubernetes),
    ("systemd", Kind::Units),
    ("host", Kind::Host),
];

const NAMES: [&str; 2] = ["api", "db"];
const PROXY: [&str; 1] = ["proxy"];
const FLY: [&str; 3] = ["token", "api_url", "logs_url"];
const DOCKER: [&str; 1] = ["docker_host"];
const KUBERNETES: [&str; 4] = ["namespace", "kubeconfig", "context", "token"];
const PATHS: [&str; 4] = ["data_directory", "log", "proxy_log", "api_log"];
const DEEDS: [Deed; 5] =
    [Deed::RestartApi, Deed::RestartProxy, Deed::RestartDb, Deed::StartDb, Deed::ExtendVolume];

pub(super) fn read(service: &Section<'_, '_>, folder: &Path) -> Result<Platform, ConfigError> {
    let all: Vec<&str> = ["kind"]
        .into_iter()
        .chain(NAMES)
        .chain(PROXY)
        .chain(FLY)
        .chain(DOCKER)
        .chain(KUBERNETES)
        .chain(PATHS)
        .chain(DEEDS.map(host::key))
        .collect();
    let Some(section) = service.table("platform", "[service.platform]", &all)? else {
        return Ok(Platform::default());
    };
    let kind = section.word("kind", &KINDS)?.ok_or_else(|| {
        let problem = "[service.platform] has no kind: fly, docker, kubernetes, systemd or host";
        section.document.error(section.span.clone(), problem, Show::KeysOnly)
    })?;
    // Commands go before what a platform would do by itself, whichever it is.
    let mut keys: Vec<&str> = ["kind"].into_iter().chain(DEEDS.map(host::key)).collect();
    match kind {
        Kind::Fly => keys.extend(NAMES.into_iter().chain(FLY)),
        Kind::Docker => keys.extend(NAMES.into_iter().chain(PROXY).chain(DOCKER)),
        Kind::Kubernetes => keys.extend(NAMES.into_iter().chain(PROXY).chain(KUBERNETES)),
        Kind::Units => keys.extend(NAMES.into_iter().chain(PROXY).chain(PATHS)),
        Kind::Host => keys.extend(PATHS),
    }
    // A key of another kind would be heeded by nobody.
    let section = service.table("platform", "a [service.platform] of this kind", &keys)?.unwrap_or(section);
    let name = |key: &str| Ok::<_, ConfigError>(section.string(key)?.map(|at| at.value));
    let names = Names { api: name("api")?, db: name("db")?, proxy: name("proxy")? };
    let asked = match kind {
        Kind::Fly => Some(Whom::Fly(fly(&section)?)),
        Kind::Docker if names.tells_nothing() => {
            let problem = "[service.platform] names neither api nor db: the containers or compose services to ask about";
            return Err(section.document.error(section.span.clone(), problem, Show::KeysOnly));
        }
        Kind::Docker => Some(Whom::Docker(names, section.string("docker_host")?)),
        Kind::Kubernetes => Some(Whom::Kubernetes(kubernetes(&section, names, folder)?)),
        Kind::Units if !(names.tells_nothing() && names.proxy.is_none()) => Some(Whom::Systemd(names)),
        Kind::Units | Kind::Host => None,
    };
    let mut commands = Vec::new();
    for deed in DEEDS {
        commands.extend(command(&section, deed)?.map(|list| (deed, list)));
    }
    let path = |key: &str| match section.string(key)? {
        Some(at) => existing(section.document, folder, key, &at).map(Some),
        None => Ok(None),
    };
    let paths = HostPaths {
        data_directory: path("data_directory")?,
        log: path("log")?,
        proxy_log: path("proxy_log")?,
    };
    let window = match kind {
        Kind::Fly | Kind::Docker | Kind::Kubernetes => Window::ByItself,
        Kind::Units | Kind::Host => Window::Host(paths),
    };
    Ok(Platform { window, api_log: path("api_log")?, asked, commands })
}

/// The keys of Fly.
fn fly(section: &Section<'_, '_>) -> Result<FlyKeys, ConfigError> {
    let keys = FlyKeys {
        api: section.string("api")?,
        db: section.string("db")?,
        token: section.string("token")?,
        api_url: section.string("api_url")?,
        logs_url: section.string("logs_url")?,
    };
    check_token(section, keys.token.as_ref())?;
    if keys.api.is_none() && keys.db.is_none() {
        let problem = "[service.platform] names neither api nor db: the Fly apps to ask about";
        return Err(section.document.error(section.span.clone(), problem, Show::KeysOnly));
    }
    for (key, at) in [("api", &keys.api), ("db", &keys.db)] {
        let app = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if let Some(at) = at.as_ref().filter(|at| !app(&at.value)) {
            let problem = format!("{key}: a Fly app's name is made of letters, digits and dashes");
            return Err(section.document.error(at.span.clone(), problem, Show::Text));
        }
    }
    for (key, at) in [("api_url", &keys.api_url), ("logs_url", &keys.logs_url)] {
        if let Some(at) = at {
            http_url(&at.value).map_err(|problem| {
                section.document.error(at.span.clone(), format!("{key}: {problem}"), Show::KeysOnly)
            })?;
        }
    }
    Ok(keys)
}

/// A token that stands in the file itself is refused: files are shared, tokens are not.
fn check_token(section: &Section<'_, '_>, token: Option<&At<String>>) -> Result<(), ConfigError> {
    match token.filter(|at| !is_reference(&at.value)) {
        None => Ok(()),
        Some(at) => {
            let problem = "token: write env:NAME or file:PATH, which say where the token is";
            Err(section.document.error(at.span.clone(), problem, Show::KeysOnly))
        }
    }
}

/// The keys of Kubernetes.
fn kubernetes(section: &Section<'_, '_>, names: Names, folder: &Path) -> Result<KubernetesKeys, ConfigError> {
    if names.tells_nothing() {
        let problem = "[service.platform] names neither api nor db: the workloads to ask about";
        return Err(section.document.error(section.span.clone(), problem, Show::KeysOnly));
    }
    let text = |key: &str| Ok::<_, ConfigError>(section.string(key)?.map(|at| at.value));
    let kubeconfig = match section.string("kubeconfig")? {
        Some(at) => Some(existing(section.document, folder, "kubeconfig", &at)?),
        None => None,
    };
    let token = section.string("token")?;
    check_token(section, token.as_ref())?;
    Ok(KubernetesKeys { names, namespace: text("namespace")?, kubeconfig, context: text("context")?, token })
}

/// A command is an argument list, never a shell line.
fn command(section: &Section<'_, '_>, deed: Deed) -> Result<Option<Vec<String>>, ConfigError> {
    let found = section.strings(host::key(deed))?;
    let Some(first) = found.first() else { return Ok(None) };
    let span = first.span.clone();
    let list: Vec<String> = found.into_iter().map(|at| at.value).collect();
    match host::check(deed, &list) {
        Ok(()) => Ok(Some(list)),
        Err(problem) => Err(section.document.error(span, problem, Show::KeysOnly)),
    }
}

/// A path, from the configuration's folder. Refused where nothing is there; what may not be read is the walk's to say.
pub(super) fn existing(
    document: Document<'_>,
    folder: &Path,
    key: &str,
    at: &At<String>,
) -> Result<PathBuf, ConfigError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let path = folder.join(&at.value);
    match std::fs::metadata(&path) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => {
            let problem = format!("{key}: {} cannot be reached: {error}", path.display());
            Err(document.error(at.span.clone(), problem, Show::Text))
        }
        _ => Ok(path),
    }
}
