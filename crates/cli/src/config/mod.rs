//! `pgmedic.toml`: what it may say, and what each mistake in it is answered with.
//!
//! The whole contract is read and checked by every verb, also the keys that only `fix` and `watch` heed. Secrets are
//! fetched only for the service that is asked for. Not in here: connection strings, which `pgmedic_model::target` reads.

mod budget;
mod document;
mod error;
mod matching;
mod platform;
mod policy;
mod promised;
mod resolve;
mod said;
pub(crate) mod units;
mod watch;
mod watched;
mod whom;

use document::{At, Document, Section};
pub(crate) use error::ConfigError;
use error::Show;
use pgmedic_model::{BudgetPlan, Deed, Policy};
use pgmedic_path::service::Window;
use pgmedic_watch::settings::Automatic;
pub(crate) use promised::Promised;
pub(crate) use resolve::{http_url, nameserver};
pub(crate) use said::{Said, SaidPlatform, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A configuration, read and checked.
pub(crate) struct Config {
    file: String,
    /// The folder that relative paths start from.
    folder: PathBuf,
    text: String,
    services: Vec<Entry>,
    watch: watch::Keys,
    /// What secrets and other values were fetched, hashed: what tells one version of a service from the next.
    fetched: RefCell<Vec<u64>>,
}

/// One `[[service]]`. Its secrets are not fetched yet.
struct Entry {
    name: At<String>,
    database: At<String>,
    rescue: Option<At<String>>,
    direct: Option<At<String>>,
    pooler: Option<At<String>>,
    ready: Option<At<String>>,
    metrics: Option<At<String>>,
    nameservers: Vec<SocketAddr>,
    resolve_here: bool,
    api_log: Option<PathBuf>,
    window: Window,
    asked: Option<platform::Whom>,
    commands: Vec<(Deed, Vec<String>)>,
    system_identifier: Option<String>,
    policy: Policy,
    budget: BudgetPlan,
    automatic: Automatic,
    labels: BTreeMap<String, String>,
    standing: Option<bool>,
}

/// The keys of `[[service]]`.
const KEYS: &[&str] = &[
    "name",
    "database",
    "rescue",
    "direct",
    "pooler",
    "ready",
    "metrics",
    "nameservers",
    "resolve_here",
    "api_log",
    "system_identifier",
    "platform",
    "policy",
    "budget",
    "labels",
    "standing",
];

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, is not TOML, or breaks the contract.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::whole(&file, format!("cannot be read: {error}")))?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Self::parse(file, folder, text)
    }

    /// Reads a text that stands for `file`; relative paths start from `folder`.
    ///
    /// # Errors
    /// Where it is not TOML, or breaks the contract.
    pub(crate) fn parse(file: String, folder: PathBuf, text: String) -> Result<Self, ConfigError> {
        let document = Document { file: &file, text: &text };
        let root = document.parse()?;
        let top = Section::new(document, "the file", root.get_ref(), 0..0, &["service", "watch"])?;
        let watch = watch::read(&top, &folder)?;
        let sections = top.tables("service", "[[service]]", KEYS)?;
        if sections.is_empty() {
            return Err(ConfigError::whole(&file, "no [[service]]: name at least one, with its database"));
        }
        let mut services: Vec<Entry> = Vec::new();
        for section in &sections {
            let entry = entry(section, &folder)?;
            if let Some(first) = services.iter().find(|other| other.name.value == entry.name.value) {
                let line = text[..first.name.span.start].matches('\n').count() + 1;
                let problem =
                    format!("a second service named {:?}; the first is on line {line}", entry.name.value);
                return Err(document.error(entry.name.span, problem, Show::Text));
            }
            services.push(entry);
        }
        matching::check(document, &watch.alerts, &services)?;
        Ok(Self { file, folder, text, services, watch, fetched: RefCell::default() })
    }

    /// The names of the services, in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|entry| entry.name.value.as_str())
    }

    /// Each service with the share of its slots that its policy keeps free, in the order of the file.
    pub(crate) fn kept_free(&self) -> impl Iterator<Item = (String, f64)> {
        self.services.iter().map(|entry| (entry.name.value.clone(), entry.policy.keep_free))
    }

    fn document(&self) -> Document<'_> {
        Document { file: &self.file, text: &self.text }
    }
}

/// `system_identifier`, as `select system_identifier from pg_control_system()` gives it.
fn identifier(text: &str) -> Result<String, String> {
    let problem = "a number in quotes, as `select system_identifier from pg_control_system()` gives it";
    if pgmedic_path::identity::is_identifier(text) { Ok(text.to_owned()) } else { Err(problem.to_owned()) }
}

/// Reads one `[[service]]`.
fn entry(section: &Section<'_, '_>, folder: &Path) -> Result<Entry, ConfigError> {
    let name = section.required("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.value.chars().all(plain) {
        let problem = "a service's name is made of letters, digits, dots, dashes and underscores";
        return Err(section.document.error(name.span, problem, Show::Text));
    }
    let direct = section.string("direct")?;
    if let Some(at) = &direct {
        resolve::check_way_around(at).map_err(|problem| {
            section.document.error(at.span.clone(), format!("direct: {problem}"), Show::KeysOnly)
        })?;
    }
    let mut nameservers = Vec::new();
    for found in section.strings("nameservers")? {
        nameservers.push(resolve::nameserver(&found.value).map_err(|problem| {
            section.document.error(found.span, format!("nameservers: {problem}"), Show::Text)
        })?);
    }
    let resolve_here = section.boolean("resolve_here")?.unwrap_or(false);
    if resolve_here && nameservers.is_empty() {
        let problem = "resolve_here = true needs nameservers to resolve at";
        return Err(section.document.error(name.span, problem, Show::Text));
    }
    let platform = platform::read(section, folder)?;
    let api_log = match section.string("api_log")? {
        Some(path) => Some(platform::existing(section.document, folder, "api_log", &path)?),
        None => platform.api_log,
    };
    let (policy, automatic) = policy::read(section)?;
    Ok(Entry {
        database: section.required("database")?,
        rescue: section.string("rescue")?,
        pooler: section.string("pooler")?,
        ready: section.string("ready")?,
        metrics: section.string("metrics")?,
        window: platform.window,
        asked: platform.asked,
        commands: platform.commands,
        system_identifier: section.read("system_identifier", identifier)?,
        budget: budget::read(section)?,
        policy,
        automatic,
        labels: watch::labels(section)?,
        standing: section.boolean("standing")?,
        name,
        direct,
        nameservers,
        resolve_here,
        api_log,
    })
}

#[cfg(test)]
mod tests;
