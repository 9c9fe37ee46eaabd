//! From `[watch]` and the services to what the daemon takes: secrets fetched, places resolved, what may not be refused.
//! Not in here: the keys (`watch`).

use super::document::At;
use super::error::{ConfigError, Show};
use super::resolve::http_url;
use super::{Config, Entry};
use crate::surroundings::Surroundings;
use pgmedic_model::Secret;
use pgmedic_path::Service;
use pgmedic_watch::engine::{Plan, Planned};
use pgmedic_watch::http::{ListenError, may_serve};
use pgmedic_watch::settings::{AlertTo, Settings, StoreAt, Watched};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The store's file in the state folder, where no other is named.
const STORE: &str = "watch.db";
/// The stop file there.
const STOP_FILE: &str = "watch.stop";

impl Config {
    /// Everything that the daemon is to do. `state` is where it keeps what it remembers.
    ///
    /// # Errors
    /// Where a secret cannot be fetched, a URL cannot be read, or it may not listen there.
    pub(crate) fn plan(&self, state: &Path, around: &mut Surroundings) -> Result<Plan, ConfigError> {
        let settings = self.settings(state, around)?;
        let mut services = Vec::new();
        for entry in &self.services {
            self.fetched.borrow_mut().clear();
            let service = self.resolve(entry, around)?;
            let mark = self.mark(entry, &service);
            let watched = Watched {
                labels: entry.labels.clone(),
                automatic: entry.automatic.clone(),
                standing: entry.standing.unwrap_or(self.watch.standing),
                service,
            };
            services.push(Planned { watched, mark });
        }
        Ok(Plan { settings, services })
    }

    fn settings(&self, state: &Path, around: &mut Surroundings) -> Result<Settings, ConfigError> {
        let keys = &self.watch;
        let secret = |key, at: &Option<At<String>>| match at {
            Some(at) => self.fetched(key, at, around).map(|text| Some(Secret::new(text))),
            None => Ok(None),
        };
        let (token, read_token) = (secret("token", &keys.token)?, secret("read_token", &keys.read_token)?);
        if let Some(at) = &keys.listen {
            may_serve(at.value, token.as_ref(), read_token.as_ref()).map_err(|error| {
                let (place, show) = match &error {
                    ListenError::NeedsToken(_) | ListenError::Closed(_) => (None, Show::Text),
                    ListenError::ShortToken | ListenError::UnfitToken => {
                        (keys.token.as_ref(), Show::KeysOnly)
                    }
                    ListenError::ReadToken(_) => (keys.read_token.as_ref(), Show::KeysOnly),
                };
                let span = place.map_or(&at.span, |token| &token.span).clone();
                self.document().error(span, error.to_string(), show)
            })?;
        }
        let mut alerts = Vec::new();
        for alert in &keys.alerts {
            let url = self.fetched("url", &alert.url, around)?;
            let bad =
                |why| self.document().error(alert.url.span.clone(), format!("url: {why}"), Show::KeysOnly);
            let url = Secret::new(http_url(url.trim()).map_err(bad)?);
            let key = match &alert.key {
                Some(at) => Some(Secret::new(self.fetched("key", at, around)?)),
                None => None,
            };
            let only = alert.only.iter().map(|(name, value)| (name.value.clone(), value.value.clone()));
            alerts.push(AlertTo { kind: alert.kind, url, key, from: alert.from, only: only.collect() });
        }
        let home = Path::new(&self.file);
        let home = home.canonicalize().unwrap_or_else(|_| home.to_path_buf());
        Ok(Settings {
            interval: keys.interval,
            walk: keys.walk,
            timeout: keys.timeout,
            stable: keys.stable,
            listen: keys.listen.as_ref().map(|at| at.value),
            token,
            read_token,
            store: self.store(state, around)?,
            keep: keys.keep,
            keep_looks: keys.keep_looks,
            store_limit: keys.store_limit,
            alerts,
            external_url: keys.external_url.clone(),
            stop_file: keys.stop_file.clone().unwrap_or_else(|| state.join(STOP_FILE)),
            state: state.to_path_buf(),
            home: home.display().to_string(),
        })
    }

    /// Where the store is where nothing else is said.
    pub(crate) fn default_store(state: &Path) -> PathBuf {
        state.join(STORE)
    }

    /// `store`: a file, `memory`, or a connection string.
    ///
    /// # Errors
    /// Where it is a secret that cannot be fetched, or a connection string that cannot be read.
    pub(crate) fn store(&self, state: &Path, around: &mut Surroundings) -> Result<StoreAt, ConfigError> {
        let Some(at) = &self.watch.store else { return Ok(StoreAt::Sqlite(Self::default_store(state))) };
        let text = self.fetched("store", at, around)?;
        if text == "memory" {
            return Ok(StoreAt::Memory);
        }
        if pgmedic_model::target::is_connection_string(&text) {
            let target = around.target(Some(&text)).map_err(|error| self.in_value("store", at, &error))?;
            return Ok(StoreAt::Postgres(Box::new(target)));
        }
        Ok(StoreAt::Sqlite(self.folder.join(PathBuf::from(text))))
    }

    /// Takes note of a value that was fetched.
    pub(super) fn note(&self, text: &str) {
        self.fetched.borrow_mut().push(hasher().hash_one(text));
    }

    /// What tells this version of a service from another: everything that is shown of it, and what is not, hashed. Which server
    /// it has been met with is no part of that.
    fn mark(&self, entry: &Entry, service: &Service) -> u64 {
        let Service { target, rescue, pooler, .. } = service;
        let targets = [Some(target), rescue.as_ref(), pooler.as_ref()].into_iter().flatten();
        let passwords: Vec<&str> =
            targets.filter_map(|target| target.password.as_ref()).map(Secret::reveal).collect();
        let standing = entry.standing.unwrap_or(self.watch.standing);
        let shown = format!("{service:?} {:?} {:?} {standing}", entry.labels, entry.automatic);
        hasher().hash_one((shown, passwords, &*self.fetched.borrow()))
    }
}

/// Keyed by this process alone: a hash tells nobody of a secret.
fn hasher() -> &'static RandomState {
    static HASHER: OnceLock<RandomState> = OnceLock::new();
    HASHER.get_or_init(RandomState::new)
}
