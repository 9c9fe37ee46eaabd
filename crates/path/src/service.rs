//! What is to be walked: one service, resolved from configuration, a URL or the environment.

use crate::hands::Hands;
use crate::identity::Expected;
use crate::platform::Platform;
use crate::standing::Standing;
use pgmedic_model::{BudgetPlan, Policy, Target};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// One service. The caller has read every file and environment variable that the configuration names.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// It stands in a configuration under that name. Else it is called as its database is.
    pub named: bool,
    /// The way in that the API takes.
    pub target: Target,
    /// A role that may use reserved slots.
    pub rescue: Option<Target>,
    /// The way around the proxy, with the target's role and database.
    pub direct: Option<Target>,
    /// PgBouncer's admin console.
    pub pooler: Option<Target>,
    /// The readiness endpoint.
    pub ready: Option<String>,
    /// The API's metrics.
    pub metrics: Option<String>,
    /// Nameservers to ask by themselves, besides those of /etc/resolv.conf. Where any is given here, the target's
    /// name is looked up at the first of them instead of the system's resolver if `resolve_here` is set.
    pub nameservers: Vec<SocketAddr>,
    /// Look names up at `nameservers` alone: for an API whose resolver is not this host's.
    pub resolve_here: bool,
    /// The API's log.
    pub api_log: Option<LogSource>,
    /// The window on this host.
    pub window: Window,
    /// What runs the API and the database, where it can be asked.
    pub platform: Option<Arc<dyn Platform>>,
    /// Who can restart, start and extend, where somebody can. A check makes no use of it.
    pub hands: Option<Arc<dyn Hands>>,
    /// One warm session, where a watcher keeps one: it is looked through beside each walk, and the service has then never
    /// more than two sessions on its server. None for a check and a fix of the command line, and where an open session
    /// would keep a database awake.
    pub standing: Option<Arc<Standing>>,
    /// The server that is expected behind the name. None where it is not known yet.
    pub expected: Option<Expected>,
    /// Thresholds and permissions.
    pub policy: Policy,
    /// What the API's deployment may open at most, as far as the configuration says.
    pub budget: BudgetPlan,
}

impl Service {
    /// One of which only the way in is known. It is called as its database is.
    #[must_use]
    pub fn bare(target: Target) -> Self {
        Self {
            name: target.database.clone(),
            named: false,
            target,
            rescue: None,
            direct: None,
            pooler: None,
            ready: None,
            metrics: None,
            nameservers: Vec::new(),
            resolve_here: false,
            api_log: None,
            window: Window::ByItself,
            platform: None,
            hands: None,
            standing: None,
            expected: None,
            policy: Policy::default(),
            budget: BudgetPlan::default(),
        }
    }
}

/// A log to look into.
#[derive(Clone, Debug)]
pub enum LogSource {
    /// The end of a file.
    File(PathBuf),
    /// Lines that were piped in.
    Text(String),
}

/// Whether this host may be looked at for evidence.
#[derive(Clone, Debug, Default)]
pub enum Window {
    /// Only where the target is a loopback address or a unix socket.
    #[default]
    ByItself,
    /// `platform.kind = "host"`: this host is the database's or the API's.
    Host(HostPaths),
    /// Never.
    Off,
}

/// Where things are on this host, as far as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct HostPaths {
    /// `data_directory`.
    pub data_directory: Option<PathBuf>,
    /// `log`: the server's log.
    pub log: Option<PathBuf>,
    /// `proxy_log`: HAProxy's or PgBouncer's log, where their own configuration does not lead to it.
    pub proxy_log: Option<PathBuf>,
}
