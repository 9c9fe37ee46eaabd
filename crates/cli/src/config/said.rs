//! What the file says of a service, with nothing fetched: no environment variable is looked up, no secret file opened.
//! For what must work offline and may be shown to anybody (`pgmedic runbook`). Not in here: a service to walk (`resolve`).

use super::document::At;
use super::error::ConfigError;
use super::platform::{FlyKeys, KubernetesKeys, Names, Whom};
use super::{Config, Entry};
use pgmedic_model::{BudgetPlan, Deed, Policy, Secret, TargetError};
use pgmedic_path::service::{HostPaths, Window};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A service as it is written.
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) database: Value,
    pub(crate) rescue: Option<Value>,
    /// `host:port`, checked.
    pub(crate) direct: Option<String>,
    pub(crate) pooler: Option<Value>,
    pub(crate) ready: Option<Value>,
    pub(crate) metrics: Option<Value>,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) api_log: Option<PathBuf>,
    pub(crate) paths: HostPaths,
    pub(crate) platform: SaidPlatform,
    pub(crate) commands: Vec<(Deed, Vec<String>)>,
    pub(crate) policy: Policy,
    pub(crate) budget: BudgetPlan,
}

/// A value, or where it is.
pub(crate) enum Value {
    /// `env:NAME`.
    Variable(String),
    /// `file:PATH`.
    File(String),
    /// Written out; it may hold a password.
    Inline(Secret),
}

/// `[service.platform]` by its kind and its names; `Unknown` where nothing is said of it.
pub(crate) enum SaidPlatform {
    Fly { api: Option<String>, db: Option<String> },
    Docker { api: Option<String>, db: Option<String>, proxy: Option<String>, engine: Option<String> },
    Kubernetes { api: Option<String>, db: Option<String>, proxy: Option<String>, options: Vec<String> },
    Systemd { api: Option<String>, db: Option<String>, proxy: Option<String> },
    Host,
    Unknown,
}

impl Config {
    /// What is said of the service of that name; None where there is none.
    pub(crate) fn said(&self, name: &str) -> Option<Said> {
        self.services.iter().find(|entry| entry.name.value == name).map(|entry| self.as_written(entry))
    }

    fn as_written(&self, entry: &Entry) -> Said {
        let value = |at: &Option<At<String>>| at.as_ref().map(|at| self.value(at));
        let paths = match &entry.window {
            Window::Host(paths) => paths.clone(),
            Window::ByItself | Window::Off => HostPaths::default(),
        };
        Said {
            name: entry.name.value.clone(),
            database: self.value(&entry.database),
            rescue: value(&entry.rescue),
            direct: entry.direct.as_ref().map(|at| at.value.clone()),
            pooler: value(&entry.pooler),
            ready: value(&entry.ready),
            metrics: value(&entry.metrics),
            nameservers: entry.nameservers.clone(),
            api_log: entry.api_log.clone(),
            platform: platform(entry),
            paths,
            commands: entry.commands.clone(),
            policy: entry.policy.clone(),
            budget: entry.budget.clone(),
        }
    }

    /// Where a value is; a file's path from the configuration's folder, as `fetched` goes.
    fn value(&self, at: &At<String>) -> Value {
        match (at.value.strip_prefix("env:"), at.value.strip_prefix("file:")) {
            (Some(name), _) => Value::Variable(name.to_owned()),
            (_, Some(path)) => Value::File(self.folder.join(path).display().to_string()),
            _ => Value::Inline(Secret::new(at.value.clone())),
        }
    }

    /// A connection string of that service that cannot be read, at its place.
    pub(crate) fn refused(&self, name: &str, key: &'static str, error: &TargetError) -> ConfigError {
        let entry = self.services.iter().find(|entry| entry.name.value == name);
        let at = entry.and_then(|entry| match key {
            "rescue" => entry.rescue.as_ref(),
            "pooler" => entry.pooler.as_ref(),
            _ => Some(&entry.database),
        });
        match at {
            Some(at) => self.in_value(key, at, error),
            None => ConfigError::whole(&self.file, format!("{key}: {error}")),
        }
    }
}

fn platform(entry: &Entry) -> SaidPlatform {
    match (&entry.asked, &entry.window) {
        (Some(Whom::Fly(FlyKeys { api, db, .. })), _) => {
            let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
            SaidPlatform::Fly { api: text(api), db: text(db) }
        }
        (Some(Whom::Docker(Names { api, db, proxy }, engine)), _) => SaidPlatform::Docker {
            api: api.clone(),
            db: db.clone(),
            proxy: proxy.clone(),
            engine: engine.as_ref().map(|at| at.value.clone()),
        },
        (Some(Whom::Kubernetes(keys)), _) => kubernetes(keys),
        (Some(Whom::Systemd(Names { api, db, proxy })), _) => {
            SaidPlatform::Systemd { api: api.clone(), db: db.clone(), proxy: proxy.clone() }
        }
        (None, Window::Host(_)) => SaidPlatform::Host,
        (None, Window::ByItself | Window::Off) => SaidPlatform::Unknown,
    }
}

fn kubernetes(keys: &KubernetesKeys) -> SaidPlatform {
    let mut options = Vec::new();
    if let Some(path) = &keys.kubeconfig {
        options.extend(["--kubeconfig".to_owned(), path.display().to_string()]);
    }
    for (option, value) in [("--context", &keys.context), ("--namespace", &keys.namespace)] {
        options.extend(value.iter().flat_map(|value| [option.to_owned(), value.clone()]));
    }
    let Names { api, db, proxy } = keys.names.clone();
    SaidPlatform::Kubernetes { api, db, proxy, options }
}
