//! The server's log: where it is, and its last 256 KiB.
//!
//! Not in here: what its lines mean (`log_lines`). Only files are read; a log that goes to journald or a container's
//! engine is another window's.

use super::conf::Settings;
use super::evidence::ServerLogView;
use super::log_end;
use super::log_lines::{self, Format};
use super::log_prefix;
use super::place::Place;
use super::procfs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files of a log folder looked at.
const MOST_FILES: usize = 4096;

/// What is known of the server whose log is sought.
pub(super) struct Known<'a> {
    /// The log by configuration of the service.
    pub(super) given: Option<&'a Path>,
    /// The data directory.
    pub(super) place: Option<&'a Place>,
    /// The postmaster, if it runs.
    pub(super) postmaster: Option<u32>,
    /// The server's settings.
    pub(super) settings: &'a Settings,
}

/// Reads the end of the log. Err says why it was not read.
pub(super) fn read(known: &Known<'_>) -> Result<ServerLogView, String> {
    let (shown, at) = find(known)?;
    let end = log_end::read(&at).map_err(|error| format!("the server's log {}: {error}", shown.display()))?;
    let prefix = known.settings.text("log_line_prefix").unwrap_or(log_prefix::DEFAULT);
    let entries = log_lines::entries_of_file(&end, Format::of(&shown), prefix);
    Ok(ServerLogView { path: shown.display().to_string(), entries })
}

/// The log by its configuration, else the one last written to of those that may be it: as it is named, and as it is
/// seen from here.
fn find(known: &Known<'_>) -> Result<(PathBuf, PathBuf), String> {
    if let Some(given) = known.given {
        return Ok((given.to_owned(), given.to_owned()));
    }
    let stderr = known.postmaster.and_then(|pid| std::fs::read_link(procfs::of(pid, "fd/2")).ok());
    let Some(place) = known.place else {
        return Err("the server's log is not known: platform.log would name it".to_owned());
    };
    let written = |path: &Path| {
        let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        meta.modified().ok()
    };
    let newest = candidates(place, known.settings, stderr.clone())
        .into_iter()
        .filter_map(|path| Some((written(&place.locate(&path))?, path)))
        .max_by_key(|(when, _): &(SystemTime, PathBuf)| *when);
    newest.map(|(_, path)| (path.clone(), place.locate(&path))).ok_or_else(|| match stderr {
        Some(end) => format!("the server's log goes to {}: no file of this host", end.display()),
        None => "the server's log was not found: platform.log would name it".to_owned(),
    })
}

/// Files that may be the log, as the server names them.
fn candidates(place: &Place, settings: &Settings, stderr: Option<PathBuf>) -> Vec<PathBuf> {
    let data = place.data();
    let current = procfs::read_text(&place.locate(&data.join("current_logfiles")), 4096).unwrap_or_default();
    // `stderr log/postgresql-2026-11-23_140000.log`
    let mut all: Vec<PathBuf> =
        current.lines().filter_map(|l| Some(data.join(l.split_once(' ')?.1))).collect();
    all.extend(stderr);
    let folder = data.join(settings.text("log_directory").unwrap_or("log"));
    let entries = std::fs::read_dir(place.locate(&folder)).into_iter().flatten().flatten().take(MOST_FILES);
    all.extend(entries.map(|entry| folder.join(entry.file_name())));
    all.extend(debian(data));
    all
}

/// Debian's name for the log of `/var/lib/postgresql/15/main` (postgresql-common).
fn debian(data: &Path) -> Option<PathBuf> {
    let mut below = data.strip_prefix("/var/lib/postgresql").ok()?.iter().filter_map(|part| part.to_str());
    let (version, cluster) = (below.next()?, below.next()?);
    Some(PathBuf::from(format!("/var/log/postgresql/postgresql-{version}-{cluster}.log")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_names_the_log_after_version_and_cluster() {
        let named = debian(Path::new("/var/lib/postgresql/15/main"));
        assert_eq!(named, Some(PathBuf::from("/var/log/postgresql/postgresql-15-main.log")));
        assert_eq!(debian(Path::new("/srv/pg/15/main")), None);
    }

    #[test]
    fn the_log_last_written_to_is_taken_unless_one_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::here(folder.path());
        let settings = Settings::default();
        let known = |given| Known { given, place: Some(&place), postmaster: None, settings: &settings };
        assert!(read(&known(None)).is_err_and(|why| why.contains("platform.log")));
        std::fs::create_dir(folder.path().join("log")).expect("a folder");
        let write = |name: &str, age: u64| {
            let path = folder.path().join("log").join(name);
            std::fs::write(&path, format!("FATAL:  in {name}\n")).expect("a file");
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            std::fs::File::open(&path).and_then(|file| file.set_modified(then)).expect("a time");
            path
        };
        let old = write("old.log", 100);
        write("new.log", 10);
        let says = |given| read(&known(given)).expect("a log").entries[0].message.clone();
        assert_eq!((says(None), says(Some(&old))), ("in new.log".to_owned(), "in old.log".to_owned()));
        let missing = Path::new("/nowhere/log");
        assert!(read(&known(Some(missing))).is_err_and(|why| why.contains("No such file")));
    }
}
