//! What keeps the daemon's hands still: `pgmedic pause` and the stop file. Both are files in the state folder, so that
//! whoever may write there needs no token, and a daemon that is started anew heeds them too. Not in here: quiet hours and
//! the other bounds (`policy`).

use crate::clock::Clock;
use pgmedic_model::{Ms, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The name of the file in the state folder.
const FILE: &str = "watch.pause";
/// The most that is read of it, in bytes.
const MOST: u64 = 1 << 20;
/// How long another process may have the folder's lock.
const LOCKED: Duration = Duration::from_secs(2);
/// In the place of a service's name: all of them.
pub const ALL: &str = "*";

/// The file: who is paused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    schema: String,
    /// By service; [`ALL`] for all of them.
    pub pauses: BTreeMap<String, Pause>,
}

/// One pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Until when. None until somebody resumes it.
    pub until: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who paused it.
    pub by: String,
}

impl Pause {
    /// One from now on.
    #[must_use]
    pub fn new(now: Timestamp, span: Option<Duration>, reason: Option<String>, by: String) -> Self {
        Self { since: now, until: span.map(|span| now.plus(Ms::from(span))), reason, by }
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// `root until 2026-11-23T04:12:09.000Z: migration`.
    #[must_use]
    pub fn phrase(&self) -> String {
        let until = self.until.map_or_else(String::new, |until| format!(" until {until}"));
        let why = self.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!("{}{until}{why}", self.by)
    }
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct HoldError {
    path: String,
    why: String,
}

impl Pauses {
    const SCHEMA: &'static str = "pgmedic.pause/1";

    /// Where they are.
    #[must_use]
    pub fn file(state: &Path) -> PathBuf {
        state.join(FILE)
    }

    /// Reads them; none where there is no file.
    ///
    /// # Errors
    /// Where it cannot be read, or is none of ours.
    pub fn read(state: &Path) -> Result<Self, HoldError> {
        let path = Self::file(state);
        let failed = |why: String| HoldError { path: path.display().to_string(), why };
        let mut text = String::new();
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            opened => opened.and_then(|file| file.take(MOST).read_to_string(&mut text)),
        }
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
        let read: Self =
            serde_json::from_str(&text).map_err(|error| failed(format!("cannot be read: {error}")))?;
        if read.schema == Self::SCHEMA { Ok(read) } else { Err(failed("is of another schema".to_owned())) }
    }

    /// Changes the file, whole or not at all, one writer after the other. Pauses that are over are left out.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn change(state: &Path, now: Timestamp, change: impl FnOnce(&mut Self)) -> Result<Self, HoldError> {
        let path = Self::file(state);
        let failed = |error: std::io::Error| HoldError {
            path: path.display().to_string(),
            why: format!("cannot be written: {error}"),
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
        let folder = File::open(state).map_err(failed)?;
        lock(&folder).map_err(failed)?;
        let mut pauses = Self::read(state)?;
        pauses.schema = Self::SCHEMA.to_owned();
        change(&mut pauses);
        pauses.pauses.retain(|_, pause| pause.holds(now));
        let text = serde_json::to_string_pretty(&pauses).map_err(|error| failed(error.into()))? + "\n";
        replace(&path, &text).map_err(failed)?;
        Ok(pauses)
    }

    /// The pause that a service is under: its own, or that of all.
    #[must_use]
    pub fn of(&self, service: &str, now: Timestamp) -> Option<&Pause> {
        let named = |name: &str| self.pauses.get(name).filter(|pause| pause.holds(now));
        named(service).or_else(|| named(ALL))
    }

    /// Whose pauses hold now.
    pub fn names(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.pauses.iter().filter(move |(_, pause)| pause.holds(now)).map(|(name, _)| name.as_str())
    }
}

/// Takes the folder's lock. Whoever holds it has it for a moment; one that is hung must not hold this one, too.
fn lock(folder: &File) -> std::io::Result<()> {
    let until = Instant::now() + LOCKED;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            Err(Errno::WOULDBLOCK) => {
                return Err(std::io::Error::other(
                    "another process holds its folder's lock: find it by `lslocks`",
                ));
            }
            locked => return locked.map_err(std::io::Error::from),
        }
    }
}

/// Everybody may read it: another user's daemon does. Only who may write to the folder can replace it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("pause.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&temporary)
        // Whatever the umask of whoever pauses.
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o644)).map(|()| file))
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // It may never have been there.
        let _gone = std::fs::remove_file(&temporary);
    }
    written
}

/// What tells one version of a file from the next.
type Stamp = (u64, u64, i64, i64);

/// Whoever looks at the files that hold the daemon's hands.
#[derive(Debug)]
pub struct Hold {
    state: PathBuf,
    stop_file: PathBuf,
    clock: Clock,
    read: Mutex<(Option<Stamp>, Result<Pauses, String>)>,
}

impl Hold {
    /// One for a state folder and a stop file.
    #[must_use]
    pub fn new(state: PathBuf, stop_file: PathBuf, clock: Clock) -> Self {
        Self { state, stop_file, clock, read: Mutex::new((None, Ok(Pauses::default()))) }
    }

    /// Looks at both files. It may block: a state folder can be on a disk that hangs.
    #[must_use]
    pub fn look(&self) -> Holds {
        // Where nobody can tell whether the stop file is there, it is.
        let stopped = match std::fs::symlink_metadata(&self.stop_file) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        let stopped = stopped.then(|| self.stop_file.display().to_string());
        Holds { stopped, pauses: self.pauses(), at: self.clock.now() }
    }

    /// The pauses; read anew where the file is another than before.
    fn pauses(&self) -> Result<Pauses, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(Pauses::file(&self.state)).ok().map(|meta| stamp(&meta));
        if read.0 != stamp || read.1.is_err() {
            *read = (stamp, Pauses::read(&self.state).map_err(|error| error.to_string()));
        }
        read.1.clone()
    }
}

/// What held the daemon's hands when it was looked at.
#[derive(Clone, Debug)]
pub struct Holds {
    /// The stop file, where it was there.
    stopped: Option<String>,
    pauses: Result<Pauses, String>,
    at: Timestamp,
}

impl Holds {
    /// Nobody knows: that holds everything. Says why.
    #[must_use]
    pub const fn unknown(why: String, at: Timestamp) -> Self {
        Self { stopped: None, pauses: Err(why), at }
    }

    /// Why nothing may be done for a service by itself. A file that cannot be read holds, too.
    #[must_use]
    pub fn held(&self, service: &str) -> Option<String> {
        if let Some(file) = &self.stopped {
            return Some(format!("the stop file {file} is there"));
        }
        self.paused(service).map(|by| format!("paused by {by}"))
    }

    /// True where the stop file was there, or nobody could tell whether it was.
    #[must_use]
    pub const fn stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Who paused a service, until when and why.
    #[must_use]
    pub fn paused(&self, service: &str) -> Option<String> {
        match &self.pauses {
            Ok(pauses) => pauses.of(service, self.at).map(Pause::phrase),
            Err(why) => Some(format!("a file that cannot be read ({why})")),
        }
    }

    /// Whose pauses hold; [`ALL`] where that is so, or cannot be read, or the stop file is there.
    #[must_use]
    pub fn names(&self) -> std::collections::BTreeSet<String> {
        let mut names = match &self.pauses {
            Ok(pauses) => pauses.names(self.at).map(str::to_owned).collect(),
            Err(_) => std::collections::BTreeSet::from([ALL.to_owned()]),
        };
        if self.stopped() {
            names.insert(ALL.to_owned());
        }
        names
    }
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    fn pause(now: i64, span: Option<u64>) -> Pause {
        Pause::new(at(now), span.map(Duration::from_millis), Some("migration".to_owned()), "ann".to_owned())
    }

    #[test]
    fn a_pause_is_heeded_at_once_and_ends_by_itself_or_by_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let now = pgmedic_path::clock::now().0;
        let hold = Hold::new(state.clone(), folder.path().join("stop"), Clock::System);
        assert_eq!(hold.look().held("shop"), None, "no file, no pause");
        Pauses::change(&state, at(now), |p| {
            p.pauses.insert("shop".to_owned(), pause(now, Some(3_600_000)));
        })
        .unwrap();
        let told = hold.look().held("shop").unwrap();
        assert!(told.starts_with("paused by ann until ") && told.ends_with(": migration"), "{told}");
        assert_eq!(hold.look().held("bakery"), None);
        Pauses::change(&state, at(now), |p| {
            p.pauses.insert(ALL.to_owned(), pause(now - 10, Some(5)));
        })
        .unwrap();
        assert_eq!(hold.look().held("bakery"), None, "that one is over");
        Pauses::change(&state, at(now), |p| {
            p.pauses.remove("shop");
        })
        .unwrap();
        assert_eq!(hold.look().held("shop"), None);
    }

    #[test]
    fn the_stop_file_holds_all_and_so_does_a_file_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (state, stop) = (folder.path().to_owned(), folder.path().join("stop"));
        let hold = Hold::new(state.clone(), stop.clone(), Clock::System);
        std::fs::write(&stop, "").unwrap();
        assert!(hold.look().held("shop").unwrap().contains("stop file") && hold.look().names().contains(ALL));
        std::fs::remove_file(&stop).unwrap();
        assert_eq!(hold.look().held("shop"), None);
        for text in ["", "{}", "{\"schema\":\"pgmedic.pause/9\",\"pauses\":{}}"] {
            std::fs::write(Pauses::file(&state), text).unwrap();
            assert!(hold.look().held("shop").unwrap().contains("cannot be read"), "{text}");
            assert!(hold.look().names().contains(ALL));
        }
    }
}
