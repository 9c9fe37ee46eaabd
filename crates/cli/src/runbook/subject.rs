//! What a runbook is about: one service as far as it is known offline. Every text in it may be shown to anybody: passwords
//! are left out where a value is read, and what is not known is named by where it is (`"$DATABASE_URL"`).

use super::platform::Platform;
use crate::config::{Said, Value};
use crate::surroundings::Surroundings;
use pgmedic_model::target::{Host, SslMode};
use pgmedic_model::{BudgetPlan, Deed, Policy, Target, TargetError};
use pgmedic_path::paste::argument;
use pgmedic_path::service::HostPaths;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A service, for people.
pub(crate) struct Subject {
    /// What it is called in headings.
    pub(super) name: String,
    /// What stands behind `pgmedic check`, for a shell.
    pub(super) whom: String,
    /// The way in, where it is known.
    pub(super) door: Option<Door>,
    /// What stands behind `psql`.
    pub(super) psql: String,
    /// The same for the role that may use reserved slots.
    pub(super) rescue: Option<String>,
    /// The way around the proxy: host and port.
    pub(super) direct: Option<(String, String)>,
    /// A pooler's console is configured: what stands behind `psql` for it.
    pub(super) pooler: Option<String>,
    /// The readiness endpoint, for a shell.
    pub(super) ready: Option<String>,
    /// The API's metrics, for a shell.
    pub(super) metrics: Option<String>,
    pub(super) nameservers: Vec<SocketAddr>,
    pub(super) api_log: Option<PathBuf>,
    pub(super) paths: HostPaths,
    pub(super) platform: Platform,
    pub(super) commands: Vec<(Deed, Vec<String>)>,
    pub(super) policy: Policy,
    pub(super) budget: BudgetPlan,
}

/// A way in whose address is known.
pub(super) struct Door {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    /// `hostaddr`: no name is looked up.
    pub(super) pinned: bool,
    pub(super) mode: SslMode,
    /// A root certificate is named: `require` checks the chain then, too.
    pub(super) checks_chain: bool,
}

impl From<&Target> for Door {
    fn from(target: &Target) -> Self {
        Self {
            host: target.host.clone(),
            port: target.port,
            user: target.user.clone(),
            database: target.database.clone(),
            pinned: target.hostaddr.is_some(),
            mode: target.tls.mode,
            checks_chain: target.tls.mode >= SslMode::VerifyCa || target.tls.root_cert.is_some(),
        }
    }
}

impl Subject {
    /// A service of the file. `options` stands behind its name: ` --config FILE`.
    ///
    /// # Errors
    /// Where a connection string that stands in the file cannot be read: the key, and why.
    pub(crate) fn of(
        said: Said,
        options: &str,
        around: &mut Surroundings,
    ) -> Result<Self, (&'static str, TargetError)> {
        let door = match &said.database {
            Value::Inline(text) => {
                let read = around.target(Some(text.reveal())).map_err(|error| ("database", error))?;
                Some(Door::from(&read))
            }
            Value::Variable(_) | Value::File(_) => None,
        };
        let mut way = |key, value: &Option<Value>| match value {
            None => Ok(None),
            Some(Value::Inline(text)) => match around.target(Some(text.reveal())) {
                Ok(target) => Ok(Some(by_parts(&Door::from(&target)))),
                Err(error) => Err((key, error)),
            },
            Some(reference) => Ok(Some(of_reference(reference))),
        };
        let (rescue, pooler) = (way("rescue", &said.rescue)?, way("pooler", &said.pooler)?);
        Ok(Self {
            psql: door.as_ref().map_or_else(|| of_reference(&said.database), by_parts),
            door,
            rescue,
            direct: said
                .direct
                .as_deref()
                .and_then(|at| at.rsplit_once(':'))
                .map(|(host, port)| (host.trim_matches(['[', ']']).to_owned(), port.to_owned())),
            pooler,
            ready: said.ready.as_ref().map(web),
            metrics: said.metrics.as_ref().map(web),
            nameservers: said.nameservers,
            api_log: said.api_log,
            paths: said.paths,
            platform: said.platform,
            commands: said.commands,
            policy: said.policy,
            budget: said.budget,
            whom: format!("{}{options}", said.name),
            name: said.name,
        })
    }

    /// A database of which only the way in is known. `named` is the variable that leads to it, where one does.
    pub(crate) fn bare(target: &Target, named: Option<&str>) -> Self {
        let door = Door::from(target);
        let psql = named.map_or_else(|| by_parts(&door), |name| format!("\"${name}\""));
        Self {
            name: target.database.clone(),
            whom: named.map_or_else(|| argument(&connection_string(target)), |name| format!("\"${name}\"")),
            door: Some(door),
            psql,
            rescue: None,
            direct: None,
            pooler: None,
            ready: None,
            metrics: None,
            nameservers: Vec::new(),
            api_log: None,
            paths: HostPaths::default(),
            platform: Platform::Unknown,
            commands: Vec::new(),
            policy: Policy::default(),
            budget: BudgetPlan::default(),
        }
    }

    /// The name by which the database is found, where it is found by one: the URL's, else that of the way around the
    /// proxy, else the platform's.
    pub(super) fn host_name(&self) -> Option<String> {
        match &self.door {
            Some(Door { host: Host::Name(name), pinned: false, .. }) => return Some(name.clone()),
            Some(_) => return None,
            None => {}
        }
        let is_name =
            |host: &&str| host.parse::<std::net::IpAddr>().is_err() && !host.starts_with(['/', '@']);
        let direct = self.direct.as_ref().map(|(host, _)| host.as_str()).filter(is_name).map(str::to_owned);
        direct.or_else(|| self.platform.host_name())
    }

    /// The database's name, or a word that says to put it there.
    pub(super) fn database(&self) -> String {
        self.door.as_ref().map_or("DATABASE".to_owned(), |door| argument(&door.database))
    }

    /// The host as a command takes it, and the port.
    pub(super) fn address(&self) -> (String, String) {
        match &self.door {
            Some(door) => (argument(door.host.to_string().trim_matches(['[', ']'])), door.port.to_string()),
            None => (self.host_name().map_or("HOST".to_owned(), |name| argument(&name)), "5432".to_owned()),
        }
    }
}

/// A target as a connection string without its password.
fn connection_string(target: &Target) -> String {
    match &target.host {
        Host::Socket(folder) => {
            format!("host={folder} port={} user={} dbname={}", target.port, target.user, target.database)
        }
        Host::Name(_) | Host::Address(_) => target.display(),
    }
}

/// psql's arguments for an address, without a password: psql asks for it, or finds it in ~/.pgpass.
fn by_parts(door: &Door) -> String {
    let host = door.host.to_string();
    let (host, user) = (argument(host.trim_matches(['[', ']'])), argument(&door.user));
    format!("-h {host} -p {} -U {user} -d {}", door.port, argument(&door.database))
}

/// psql's arguments for a connection string that is elsewhere.
fn of_reference(value: &Value) -> String {
    match value {
        Value::Variable(name) => format!("\"${name}\""),
        Value::File(path) => format!("\"$(cat {})\"", argument(path)),
        Value::Inline(_) => String::new(),
    }
}

/// A web address for a shell, without what may be a secret in it.
fn web(value: &Value) -> String {
    let Value::Inline(text) = value else { return of_reference(value) };
    let whole = text.reveal();
    let (scheme, rest) = whole.split_once("://").unwrap_or(("http", whole));
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    let (place, path) = plain.find('/').map_or((plain, ""), |at| plain.split_at(at));
    let host = place.rsplit('@').next().unwrap_or_default();
    argument(&format!("{scheme}://{host}{path}"))
}
