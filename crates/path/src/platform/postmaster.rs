//! Which process is the service's postmaster, and where its data directory is.
//!
//! A pid that SQL told may be of another host or container, so it is believed only where /proc bears it out. Not in
//! here: the configuration (`conf`) and the backends (`titles`).

use super::evidence::LockFileView;
use super::place::Place;
use super::procfs::{self, Process};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A backend younger than this may be the one that this walk was just given, in clock ticks of 1/100 s.
const FRESH_TICKS: u64 = 60 * 100;

/// The postmaster, and why it is the service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) process: Process,
    pub(super) by: String,
    /// Its command line.
    pub(super) arguments: Vec<String>,
}

impl Postmaster {
    /// A process as the service's postmaster.
    pub(super) fn new(process: Process, by: impl Into<String>) -> Self {
        let arguments = procfs::arguments(process.pid).unwrap_or_default();
        Self { process, by: by.into(), arguments }
    }

    /// Its data directory: what it runs in (a postmaster changes into its data directory at its start), else what `-D`
    /// says. None where neither may be read.
    pub(super) fn data_directory(&self) -> Option<PathBuf> {
        let cwd = std::fs::read_link(procfs::of(self.process.pid, "cwd")).ok();
        cwd.or_else(|| option(&self.arguments, 'D').map(PathBuf::from)).filter(|path| path.is_absolute())
    }

    /// True where it runs in that data directory, by whichever name. None where that cannot be seen.
    pub(super) fn runs_in(&self, told: &Path) -> Option<bool> {
        let place = self.place()?;
        let identity = |path: &Path| std::fs::metadata(place.locate(path)).map(|m| (m.dev(), m.ino())).ok();
        Some(identity(place.data())? == identity(told)?)
    }

    /// Its data directory as seen from here.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place::of_process(self.process.pid, &self.data_directory()?))
    }
}

/// The value of a one-letter option: `-D /data`, `-D/data`.
pub(super) fn option(arguments: &[String], letter: char) -> Option<&str> {
    let flag = ['-', letter].iter().collect::<String>();
    let at = arguments.iter().position(|word| word.starts_with(&flag))?;
    match arguments.get(at)?.strip_prefix(&flag)? {
        "" => arguments.get(at + 1).map(String::as_str),
        joined => Some(joined),
    }
}

/// What matters of postmaster.pid (miscinit.c, pidfile.h: one item a line).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Line 1.
    pub(super) pid: u32,
    /// Line 4.
    pub(super) port: Option<u16>,
    /// Line 8: `starting`, `stopping`, `ready`, `standby`, padded.
    pub(super) status: Option<String>,
}

/// Reads postmaster.pid of a data directory. A file left behind by a crash reads like any other.
pub(super) fn pid_file(place: &Place) -> Option<PidFile> {
    let text = procfs::read_text(&place.locate(&place.data().join("postmaster.pid")), 4096).ok()?;
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next()?.parse().ok()?;
    let port = lines.nth(2).and_then(|line| line.parse().ok());
    let status = lines.nth(3).filter(|line| !line.is_empty()).map(str::to_owned);
    Some(PidFile { pid, port, status })
}

/// The lock file of a data directory in which no postmaster was found: its pid, and who has that now.
pub(super) fn lock_file(place: &Place) -> Option<LockFileView> {
    let text = procfs::read_text(&place.locate(&place.data().join("postmaster.pid")), 4096).ok()?;
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
    let process = pid.and_then(procfs::process).map(|process| procfs::view(&process, None));
    Some(LockFileView { pid, process })
}

/// True where a command line is a title that a child has written over it: `postgres: app app [local] idle`.
pub(super) fn is_title(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|first| first.starts_with("postgres: "))
}

/// The postmaster of the backend that `pg_backend_pid()` named; Err says why the pid is not believed.
///
/// It must be a postgres whose parent is a postmaster of this pid namespace, and it must either be as young as a
/// connection just made or run in the data directory that SQL told: the same number could be another host's backend.
pub(super) fn of_backend(pid: u32, told_data: Option<&Path>) -> Result<Postmaster, String> {
    let not_here = || format!("pid {pid}, which the server gave, is no Postgres backend of this host");
    let backend = procfs::process(pid).filter(Process::is_postgres).ok_or_else(not_here)?;
    let parent = procfs::process(backend.parent).filter(Process::is_postgres).ok_or_else(not_here)?;
    let found = Postmaster::new(parent, format!("parent of backend {pid}"));
    if is_title(&found.arguments) {
        return Err(not_here());
    }
    match told_data.and_then(|told| found.runs_in(told)) {
        Some(true) => Ok(found),
        Some(false) => {
            Err(format!("backend {pid} of this host is of another data directory than the server's"))
        }
        None if is_fresh(&backend) => Ok(found),
        None => Err(format!(
            "backend {pid} of this host is older than the connection: it may be another server's"
        )),
    }
}

/// True where a process started within the last minute.
fn is_fresh(process: &Process) -> bool {
    procfs::ticks_since_boot().is_some_and(|now| now.saturating_sub(process.start_ticks) < FRESH_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_read_joined_or_apart() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(option(&words("postgres -D /data -p 5432"), 'D'), Some("/data"));
        assert_eq!(option(&words("postgres -D/data"), 'D'), Some("/data"));
        assert_eq!(option(&words("postgres -p 5432"), 'D'), None);
        assert_eq!(option(&words("postgres -D"), 'D'), None);
        assert!(is_title(&["postgres: app app [local] idle".to_owned()]));
        assert!(!is_title(&words("/usr/lib/postgresql/15/bin/postgres -D /data")));
    }

    #[test]
    fn the_pid_file_tells_pid_port_and_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::here(folder.path());
        let read = |text: &str| {
            std::fs::write(folder.path().join("postmaster.pid"), text).expect("a file");
            pid_file(&place).map(|file| (file.pid, file.port, file.status.unwrap_or_default()))
        };
        assert_eq!(pid_file(&place), None);
        // Recorded on Postgres 15.18.
        let whole = "1513\n/data\n1795444033\n24800\n/run\n127.0.0.1\n 10575874     32778\nready   \n";
        assert_eq!(read(whole), Some((1513, Some(24_800), "ready".to_owned())));
        assert_eq!(read("1513\n/data\n"), Some((1513, None, String::new())));
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_pid_that_is_no_backend_is_not_believed() {
        assert!(of_backend(std::process::id(), None).is_err());
        assert!(of_backend(u32::MAX, None).is_err());
    }
}
