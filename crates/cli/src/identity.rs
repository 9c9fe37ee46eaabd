//! Which server each service has, remembered from walk to walk in `identity.json`. Only services of a `pgmedic.toml` are
//! remembered, each by the file and the name that it has there. Not in here: what another server means (`wrong-server`).

use crate::failure::Failure;
use crate::output;
use crate::render::text::visible;
use crate::select::{self, Whom};
use crate::surroundings::Surroundings;
use pgmedic_model::Timestamp;
use pgmedic_path::identity::{Expected, Known, first_met, is_identifier, of_the_front};
use pgmedic_path::{Evidence, Service};
use pgmedic_watch::engine::Met;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SCHEMA: &str = "pgmedic.identity/1";
/// The most that is read, in bytes: some 4000 servers.
const LONGEST: u64 = 1024 * 1024;
/// Most servers that are remembered; beyond it the one learnt first is forgotten.
const MOST: usize = 3000;
/// How long somebody else who writes is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Ledger {
    schema: String,
    servers: Vec<Entry>,
}

/// One service's server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The `pgmedic.toml`, by its canonical path.
    config: String,
    service: String,
    /// Where it answered, for a person who reads the file.
    address: String,
    system_identifier: String,
    since: Timestamp,
}

/// What is remembered of the service that is checked.
pub(crate) struct Memory {
    /// Where to write, and for which service; None where nothing is to be remembered.
    place: Option<Place>,
    accept: bool,
    /// What was remembered before.
    known: Option<String>,
}

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    config: String,
}

impl Memory {
    /// Looks up what is remembered of a service and has its walk expect that, unless the configuration pins a server or
    /// the one that answers is to be accepted.
    ///
    /// # Errors
    /// Where a server is to be accepted for what is no service of a configuration, or for a service that pins its own.
    pub(crate) fn of(
        whom: Whom<'_>,
        accept: bool,
        service: &mut Service,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        let refused = |why: &str| Err(Failure::Usage(format!("--accept-identity: {why}")));
        let nothing = Self { place: None, accept, known: None };
        let Some(config) = select::home(whom) else {
            return if accept {
                refused("only a service of pgmedic.toml is remembered")
            } else {
                Ok(nothing)
            };
        };
        if service.expected.is_some() {
            let why = "system_identifier in pgmedic.toml pins the server: change it there";
            return if accept { refused(why) } else { Ok(nothing) };
        }
        let Some(folder) = around.state_folder() else {
            let why = "there is no place to remember it: set PGMEDIC_STATE to a folder";
            return if accept { refused(why) } else { Ok(nothing) };
        };
        let config = config.canonicalize().unwrap_or(config).display().to_string();
        let place = Place { folder, config };
        let ledger = match place.read() {
            Ok(ledger) => ledger,
            Err(why) => {
                let told = format!(
                    "{}: {why}; it is ignored, and nothing is remembered until it is removed",
                    place.file().display()
                );
                output::stderr(&format!("pgmedic: {}\n", visible(&told)));
                return Ok(nothing);
            }
        };
        let entry = ledger.servers.into_iter().find(|e| e.is_of(&place.config, &service.name));
        let known = entry.as_ref().map(|entry| entry.system_identifier.clone());
        if !accept {
            service.expected = entry.map(|entry| Expected {
                known: Known::Remembered(entry.since),
                system_identifier: entry.system_identifier,
            });
        }
        Ok(Self { place: Some(place), accept, known })
    }

    /// Remembers what a walk met, where that is new: the server of the service's own way, or, where one is to be
    /// accepted, the one that was met at all. What cannot be written costs a word, not the diagnosis.
    pub(crate) fn take_note(&mut self, evidence: &Evidence) {
        let Some(place) = &self.place else { return };
        let met = if self.accept { first_met(evidence) } else { of_the_front(evidence) };
        let told = match (met, &self.known) {
            (Some(met), Some(known)) if met == known => {
                self.accept.then(|| format!("the server {met} was {}'s already", evidence.service))
            }
            (Some(met), known) if self.accept || known.is_none() => match place.remember(vec![Met {
                service: evidence.service.clone(),
                address: evidence.target.address.clone(),
                system_identifier: met.to_owned(),
                since: evidence.started_at,
            }]) {
                Ok(()) => self.accept.then(|| {
                    let before = known.as_ref().map(|known| format!(" (it was {known})"));
                    format!(
                        "the server {met} is {}'s from now on{}",
                        evidence.service,
                        before.unwrap_or_default()
                    )
                }),
                Err(why) => Some(format!("which server {} has was not remembered: {why}", evidence.service)),
            },
            (None, _) if self.accept => Some("no server told its identity; nothing was accepted".to_owned()),
            _ => None,
        };
        if let Some(told) = told {
            output::stderr(&format!("pgmedic: {}\n", visible(&told)));
        }
    }
}

/// What is remembered of all services of one configuration, for a daemon.
#[derive(Debug)]
pub(crate) struct Book(Place);

impl Book {
    /// That of a `pgmedic.toml`, by its canonical path.
    pub(crate) const fn of(folder: PathBuf, config: String) -> Self {
        Self(Place { folder, config })
    }

    /// Has the services expect the servers that are remembered, where they do not pin their own.
    ///
    /// # Errors
    /// Where the file cannot be read: then nothing is expected.
    pub(crate) fn expect<'s>(&self, services: impl Iterator<Item = &'s mut Service>) -> Result<(), String> {
        let ledger = self.0.read().map_err(|why| format!("{}: {why}", self.0.file().display()))?;
        let mine = ledger.servers.into_iter().filter(|entry| entry.config == self.0.config);
        let known: BTreeMap<String, Entry> = mine.map(|entry| (entry.service.clone(), entry)).collect();
        for service in services.filter(|service| service.expected.is_none()) {
            service.expected = known.get(&service.name).map(|entry| Expected {
                known: Known::Remembered(entry.since),
                system_identifier: entry.system_identifier.clone(),
            });
        }
        Ok(())
    }

    /// Remembers servers that were met.
    ///
    /// # Errors
    /// Where they cannot be written down.
    pub(crate) fn remember(&self, met: Vec<Met>) -> Result<(), String> {
        self.0.remember(met)
    }
}

impl Entry {
    fn is_of(&self, config: &str, service: &str) -> bool {
        self.config == config && self.service == service
    }
}

impl Place {
    fn file(&self) -> PathBuf {
        self.folder.join("identity.json")
    }

    /// The file; an empty one where there is none.
    fn read(&self) -> Result<Ledger, String> {
        let mut text = String::new();
        match File::open(self.file()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Ledger { schema: SCHEMA.to_owned(), servers: Vec::new() });
            }
            opened => opened.and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)),
        }
        .map_err(|error| format!("cannot be read ({error})"))?;
        if text.len() as u64 > LONGEST {
            return Err("is too long".to_owned());
        }
        let ledger: Ledger =
            serde_json::from_str(&text).map_err(|error| format!("cannot be read ({error})"))?;
        let sound =
            ledger.schema == SCHEMA && ledger.servers.iter().all(|e| is_identifier(&e.system_identifier));
        if sound { Ok(ledger) } else { Err(format!("is not of the schema {SCHEMA}")) }
    }

    /// Writes the file anew with these servers, whole or not at all.
    fn remember(&self, met: Vec<Met>) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        // Two that end at once do not forget each other's server. A moment is waited for whoever writes.
        let folder = File::open(&self.folder).map_err(failed)?;
        let until = Instant::now() + PATIENCE;
        while flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() >= until {
                return Err(format!("{}: another pgmedic writes there", self.folder.display()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut ledger = self.read()?;
        for Met { service, address, system_identifier, since } in met {
            ledger.servers.retain(|e| !e.is_of(&self.config, &service));
            ledger.servers.push(Entry {
                config: self.config.clone(),
                service,
                address,
                system_identifier,
                since,
            });
        }
        let beyond = ledger.servers.len().saturating_sub(MOST);
        ledger.servers.drain(..beyond);
        let text = serde_json::to_string_pretty(&ledger).map_err(|error| error.to_string())? + "\n";
        replace(&self.file(), &text).map_err(failed)
    }
}

/// Replaces a file in one step by one that its owner alone may read.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("json.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // It may never have been there.
        let _gone = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state/pgmedic");
        (dir, Place { folder, config: "/etc/pgmedic.toml".to_owned() })
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_said_and_never_overwritten() {
        let (_dir, place) = place();
        assert!(place.read().unwrap().servers.is_empty());
        std::fs::create_dir_all(&place.folder).unwrap();
        let entry = |id: &str| {
            format!(
                r#"{{"schema":"{SCHEMA}","servers":[{{"config":"c","service":"s","address":"a","system_identifier":"{id}","since":"2026-11-23T03:12:09.000Z"}}]}}"#
            )
        };
        for (text, sound) in [
            (entry("7301234567890123456"), true),
            (entry("not a number"), false),
            (String::new(), false),
            ("{}".to_owned(), false),
            (entry("7301234567890123456").replace("identity/1", "identity/9"), false),
            (" ".repeat(1024 * 1024 + 1), false),
        ] {
            std::fs::write(place.file(), &text).unwrap();
            assert_eq!(place.read().is_ok(), sound, "{:.80}", text);
        }
    }
}
