//! From an entry of the configuration to a service that can be walked: `env:` and `file:` are fetched, URLs read.

use super::document::At;
use super::error::{ConfigError, Show};
use super::whom::Acquainted;
use super::{Config, Entry};
use crate::surroundings::Surroundings;
use pgmedic_model::{Target, TargetError};
use pgmedic_path::Service;
use pgmedic_path::identity::{Expected, Known};
use pgmedic_path::service::LogSource;
use std::net::{IpAddr, SocketAddr};

impl Config {
    /// The service of that name, ready to be walked; None where there is none.
    ///
    /// # Errors
    /// Where a secret cannot be fetched, or a URL cannot be read.
    pub(crate) fn service(
        &self,
        name: &str,
        around: &mut Surroundings,
    ) -> Option<Result<Service, ConfigError>> {
        let entry = self.services.iter().find(|entry| entry.name.value == name)?;
        Some(self.resolve(entry, around))
    }

    pub(super) fn resolve(&self, entry: &Entry, around: &mut Surroundings) -> Result<Service, ConfigError> {
        let mut target = |key: &str, at: &At<String>| -> Result<Target, ConfigError> {
            let text = self.fetched(key, at, around)?;
            around.target(Some(&text)).map_err(|error| self.in_value(key, at, &error))
        };
        let database = target("database", &entry.database)?;
        let rescue = entry.rescue.as_ref().map(|at| target("rescue", at)).transpose()?;
        let pooler = entry.pooler.as_ref().map(|at| target("pooler", at)).transpose()?;
        let direct = match &entry.direct {
            None => None,
            Some(at) => {
                Some(database.by_way_of(&at.value).map_err(|error| self.in_value("direct", at, &error))?)
            }
        };
        let url = |key: &str, at: &At<String>| -> Result<String, ConfigError> {
            let text = self.fetched(key, at, around)?;
            let problem =
                |problem| self.document().error(at.span.clone(), format!("{key}: {problem}"), Show::KeysOnly);
            http_url(&text).map_err(problem)
        };
        let Acquainted { platform, hands } = self.acquainted(entry, around)?;
        Ok(Service {
            name: entry.name.value.clone(),
            target: database,
            rescue,
            direct,
            pooler,
            ready: entry.ready.as_ref().map(|at| url("ready", at)).transpose()?,
            metrics: entry.metrics.as_ref().map(|at| url("metrics", at)).transpose()?,
            nameservers: entry.nameservers.clone(),
            resolve_here: entry.resolve_here,
            api_log: entry.api_log.clone().map(LogSource::File),
            window: entry.window.clone(),
            platform,
            hands,
            standing: None,
            named: true,
            expected: entry
                .system_identifier
                .clone()
                .map(|system_identifier| Expected { system_identifier, known: Known::Pinned }),
            policy: entry.policy.clone(),
            budget: entry.budget.clone(),
        })
    }

    /// A value, or what its `env:NAME` or `file:PATH` leads to.
    pub(super) fn fetched(
        &self,
        key: &str,
        at: &At<String>,
        around: &Surroundings,
    ) -> Result<String, ConfigError> {
        let text = self.fetched_text(key, at, around)?;
        self.note(&text);
        Ok(text)
    }

    fn fetched_text(&self, key: &str, at: &At<String>, around: &Surroundings) -> Result<String, ConfigError> {
        let refused = |problem: String| self.document().error(at.span.clone(), problem, Show::Text);
        if let Some(name) = at.value.strip_prefix("env:") {
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let problem = format!("{key}: after env: comes the name of a variable");
                return Err(self.document().error(at.span.clone(), problem, Show::KeysOnly));
            }
            return match around.variable(name) {
                Some(text) if !text.is_empty() => Ok(text),
                Some(_) => Err(refused(format!("{key}: the environment variable {name} is empty"))),
                None => Err(refused(format!("{key}: the environment variable {name} is not set"))),
            };
        }
        if let Some(path) = at.value.strip_prefix("file:") {
            if path.contains("://") || path.contains('@') {
                let problem = format!("{key}: after file: comes a path");
                return Err(self.document().error(at.span.clone(), problem, Show::KeysOnly));
            }
            let path = self.folder.join(path);
            return match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => Err(refused(format!("{key}: {} cannot be read: {error}", path.display()))),
            };
        }
        Ok(at.value.clone())
    }

    /// A connection string's mistake, at the place of the value that holds or names it.
    pub(super) fn in_value(&self, key: &str, at: &At<String>, error: &TargetError) -> ConfigError {
        let show = if is_reference(&at.value) { Show::Text } else { Show::KeysOnly };
        let from = if is_reference(&at.value) { format!(" ({})", at.value) } else { String::new() };
        self.document().error(at.span.clone(), format!("{key}{from}: {error}"), show)
    }
}

/// True where the value only says where the secret is.
pub(super) fn is_reference(value: &str) -> bool {
    value.starts_with("env:") || value.starts_with("file:")
}

/// Checks the form of `direct` before a target is there.
pub(super) fn check_way_around(at: &At<String>) -> Result<(), TargetError> {
    pgmedic_model::target::Settings::parse("postgres://u@h/d")
        .and_then(|settings| settings.resolve(&pgmedic_model::target::Surroundings::default()))
        .and_then(|target| target.by_way_of(&at.value))
        .map(|_| ())
}

/// `address` or `address:port` of a nameserver.
pub(crate) fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse()
        .or_else(|_| bare())
        .map_err(|_| "a nameserver is an address or address:port, as in 127.0.0.1:53".to_owned())
}

/// Checks that a text is an HTTP URL with a host.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match host {
        Some(host) if !host.is_empty() && !host.starts_with(':') && !text.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        Some(_) => Err("a URL without a host".to_owned()),
        None => Err("a URL begins with http:// or https://".to_owned()),
    }
}
