//! `[service.platform]`: who can restart, extend, and read logs, disks and listeners.
//!
//! All of it is checked. `check` heeds what opens a window on this host; the commands and the names are for `fix`.

use super::document::{At, Document, Section};
use super::error::{ConfigError, Show};
use pgmedic_path::service::{HostPaths, Window};
use std::path::{Path, PathBuf};

/// What `check` takes from the section.
#[derive(Default)]
pub(super) struct Platform {
    pub(super) window: Window,
    pub(super) api_log: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// fly, docker, kubernetes: named things elsewhere.
    Named,
    /// systemd: named units of this host.
    Units,
    /// host: paths and commands of this host.
    Host,
}

const KINDS: [(&str, Kind); 5] = [
    ("fly", Kind::Named),
    ("docker", Kind::Named),
    ("kubernetes", Kind::Named),
    ("systemd", Kind::Units),
    ("host", Kind::Host),
];

const NAMES: [&str; 2] = ["api", "db"];
const PATHS: [&str; 3] = ["data_directory", "log", "api_log"];
const COMMANDS: [&str; 5] = ["restart_api", "restart_proxy", "restart_db", "start_db", "extend_volume"];

pub(super) fn read(service: &Section<'_, '_>, folder: &Path) -> Result<Platform, ConfigError> {
    let all: Vec<&str> = ["kind"].into_iter().chain(NAMES).chain(PATHS).chain(COMMANDS).collect();
    let Some(section) = service.table("platform", "[service.platform]", &all)? else {
        return Ok(Platform::default());
    };
    let kind = section.word("kind", &KINDS)?.ok_or_else(|| {
        let problem = "[service.platform] has no kind: fly, docker, kubernetes, systemd or host";
        section.document.error(section.span.clone(), problem, Show::KeysOnly)
    })?;
    let mut keys = vec!["kind"];
    match kind {
        Kind::Named => keys.extend(NAMES),
        Kind::Units => keys.extend(NAMES.into_iter().chain(PATHS)),
        Kind::Host => keys.extend(PATHS.into_iter().chain(COMMANDS)),
    }
    // A key of another kind would be heeded by nobody.
    let section = service.table("platform", "a [service.platform] of this kind", &keys)?.unwrap_or(section);
    for key in NAMES {
        section.string(key)?;
    }
    for key in COMMANDS {
        command(&section, key)?;
    }
    let path = |key: &str| match section.string(key)? {
        Some(at) => existing(section.document, folder, key, &at).map(Some),
        None => Ok(None),
    };
    let paths = HostPaths { data_directory: path("data_directory")?, log: path("log")? };
    let window = if kind == Kind::Named { Window::ByItself } else { Window::Host(paths) };
    Ok(Platform { window, api_log: path("api_log")? })
}

/// A command is an argument list, never a shell line.
fn command(section: &Section<'_, '_>, key: &str) -> Result<(), ConfigError> {
    let arguments = section.strings(key)?;
    match arguments.first() {
        Some(program) if program.value.is_empty() => Err(section.document.error(
            program.span.clone(),
            format!("{key} names no program"),
            Show::KeysOnly,
        )),
        _ => Ok(()),
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
