//! The server's log: where it is, and its last 256 KiB.
//!
//! Not in here: what its lines mean (`log_lines`). Only files are read; a log that goes to journald or a container's
//! engine is another window's.

use super::conf::Settings;
use super::evidence::{ServerLogEntry, ServerLogView};
use super::log_end;
use super::log_lines::{self, Format};
use super::log_prefix;
use super::place::Place;
use super::procfs;
use pgmedic_model::Timestamp;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Most files of a log folder looked at.
const MOST_FILES: usize = 4096;
/// How long a line is waited for that the server's collector is about to write, and how often it is looked for.
const COLLECTOR_PATIENCE: Duration = Duration::from_millis(200);
const COLLECTOR_STEP: Duration = Duration::from_millis(10);
/// A file's times go by the kernel's tick, of up to 10 ms.
const COARSE_MS: i64 = 10;

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
    /// Since when it must tell of a refusal.
    pub(super) refused_since: Option<Timestamp>,
}

/// Reads the end of the log. Err says why it was not read.
///
/// What the server refused a moment ago may still be with its collector (`logging_collector`): the look waits for that,
/// a little.
pub(super) fn read(known: &Known<'_>, until: Instant) -> Result<ServerLogView, String> {
    let patience = until.min(Instant::now() + COLLECTOR_PATIENCE);
    loop {
        let (view, written) = read_once(known)?;
        let awaited = known.refused_since.is_some_and(|since| !tells_of(&view, written, since));
        if !awaited || Instant::now() >= patience {
            return Ok(view);
        }
        std::thread::sleep(COLLECTOR_STEP);
    }
}

/// True where the log has a FATAL since then; by its last change, where its lines have no time.
fn tells_of(view: &ServerLogView, written: Option<Timestamp>, since: Timestamp) -> bool {
    // `%t` has whole seconds.
    let floor = |at: Timestamp| if at.0 % 1000 == 0 { since.0.div_euclid(1000) * 1000 } else { since.0 };
    let fatal = |n: &ServerLogEntry| n.severity == "FATAL" && n.at.is_some_and(|at| at.0 >= floor(at));
    if view.entries.iter().any(|entry| entry.at.is_some()) {
        return view.entries.iter().any(fatal);
    }
    written.is_none_or(|written| written.0 >= since.0.saturating_sub(COARSE_MS))
}

/// Reads it as it is, with its last change.
fn read_once(known: &Known<'_>) -> Result<(ServerLogView, Option<Timestamp>), String> {
    let (shown, at) = find(known)?;
    let end = log_end::read(&at).map_err(|error| format!("the server's log {}: {error}", shown.display()))?;
    let prefix = known.settings.text("log_line_prefix").unwrap_or(log_prefix::DEFAULT);
    let (entries, turned_away) = log_lines::entries_of_file(&end, Format::of(&shown), prefix);
    Ok((ServerLogView { path: shown.display().to_string(), entries, turned_away }, end.written))
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

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_line_that_is_about_to_be_written_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (place, settings) = (Place::here(folder.path()), Settings::default());
        let path = folder.path().join("server.log");
        std::fs::write(&path, "FATAL:  before\n").expect("a file");
        let then = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::open(&path).and_then(|file| file.set_modified(then)).expect("a time");
        let since = Some(crate::clock::now());
        let known = Known {
            given: Some(&path),
            place: Some(&place),
            postmaster: None,
            settings: &settings,
            refused_since: since,
        };
        let begun = Instant::now();
        assert_eq!(read(&known, begun).expect("a log").entries.len(), 1);
        assert!(begun.elapsed() < COLLECTOR_PATIENCE, "no time was left to wait");
        assert_eq!(read(&known, soon()).expect("a log").entries.len(), 1);
        assert!(begun.elapsed() >= COLLECTOR_PATIENCE, "in vain");
        std::fs::write(&path, "FATAL:  before\nFATAL:  now\n").expect("a file");
        assert_eq!(read(&known, soon()).expect("a log").entries.len(), 2);
    }

    #[test]
    fn the_log_last_written_to_is_taken_unless_one_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::here(folder.path());
        let settings = Settings::default();
        let known = |given| Known {
            given,
            place: Some(&place),
            postmaster: None,
            settings: &settings,
            refused_since: None,
        };
        assert!(read(&known(None), soon()).is_err_and(|why| why.contains("platform.log")));
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
        let says = |given| read(&known(given), soon()).expect("a log").entries[0].message.clone();
        assert_eq!((says(None), says(Some(&old))), ("in new.log".to_owned(), "in old.log".to_owned()));
        let missing = Path::new("/nowhere/log");
        assert!(read(&known(Some(missing)), soon()).is_err_and(|why| why.contains("No such file")));
    }
}
