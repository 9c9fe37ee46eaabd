//! The record: an append-only file for each service, one JSON line an entry, each on disk (fsync) before the thing that it
//! tells of is begun. From it an interrupted fix is understood on the next start, and post-mortems are written.
//!
//! Whoever has a journal open for writing holds its lock: a second pgmedic on this host is told so and does nothing. Not in
//! here: what an incident amounts to (`incidents`).

pub mod incidents;

use crate::clock;
use pgmedic_model::{Action, RemedyKind, Report, SessionOutcome, StepOutcome, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder in the state's.
const FOLDER: &str = "incidents";
/// From this size on a journal is put aside when the next incident is opened, in bytes; the one put aside before goes.
const LARGE: u64 = 8 << 20;
/// The most that is read of a journal, in bytes, from its end.
const MOST: u64 = 2 * LARGE;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `pgmedic.journal/1`.
    pub schema: String,
    /// When.
    pub at: Timestamp,
    /// The incident's id.
    pub incident: String,
    /// The service's name.
    pub service: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What an entry tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An incident was opened, on this walk.
    Opened {
        /// Its root causes.
        causes: Vec<String>,
        /// The walk.
        report: Box<Report>,
    },
    /// It goes on: another fix was begun, on this walk.
    Resumed {
        /// The root causes by now.
        causes: Vec<String>,
        /// The walk.
        report: Box<Report>,
    },
    /// Something is about to be done. Without an outcome behind it nobody knows whether it was.
    Intent {
        /// Counted from 1 in each incident.
        step: u64,
        /// The remedy's id.
        remedy: String,
        /// Its kind.
        kind: RemedyKind,
        /// The cause that it is to mend.
        cause: String,
        /// Whom it acts on, in words.
        target: String,
        /// What it does, exactly.
        action: Action,
        /// The one instance or volume that this intent is for, where an action has several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
    /// It came to this.
    Outcome {
        /// Of which intent.
        step: u64,
        /// How it ended.
        outcome: StepOutcome,
        /// What was said and seen.
        detail: String,
        /// The sessions that were chosen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sessions: Vec<SessionOutcome>,
        /// What the platform knows the requests by.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        request_ids: Vec<String>,
        /// What takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<String>,
    },
    /// Found on a later start: what was begun has no outcome. It is not begun again.
    Interrupted {
        /// Of which intent.
        step: u64,
        /// What is known.
        detail: String,
    },
    /// The fix was stopped before its end; the incident stays open.
    Left {
        /// The verdict.
        summary: String,
    },
    /// The fix ended.
    Closed {
        /// The service was well, and proved so.
        recovered: bool,
        /// The verdict.
        summary: String,
        /// The last walk.
        report: Box<Report>,
    },
}

/// The schema's name.
pub const SCHEMA: &str = "pgmedic.journal/1";

/// Why there is no journal to write into.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another pgmedic holds it.
    #[error(
        "another pgmedic is mending {service} now (it holds {path}): nothing is done twice; wait for it, or look at `pgmedic incidents`"
    )]
    Busy {
        /// The service.
        service: String,
        /// The journal.
        path: String,
    },
    /// It cannot be read or written.
    #[error(
        "the record {path} cannot be kept: {error}; without it nothing is done. Set PGMEDIC_STATE to a folder that can be written"
    )]
    Io {
        /// The journal.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// A journal that is open, and locked.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    service: String,
    /// What it holds.
    entries: Vec<Entry>,
}

impl Journal {
    /// Opens a service's journal. `home` tells services of one name apart: the configuration
    /// that it stands in, else the address of its database.
    ///
    /// # Errors
    /// Where another pgmedic has it open, or it cannot be read or written.
    pub fn open(state: &Path, service: &str, home: &str) -> Result<Self, JournalError> {
        let path = place(state, service, home);
        let failed = |error| JournalError::Io { path: path.display().to_string(), error };
        let folder = state.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let mut file = open(&path).map_err(failed)?;
        let busy = || JournalError::Busy { service: service.to_owned(), path: path.display().to_string() };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(busy()),
            Err(error) => return Err(failed(error.into())),
        }
        // Whoever had it may have put it aside in between: then another file has this name, and its own lock.
        if !is_still(&file, &path) {
            return Err(busy());
        }
        let (entries, torn) = read(&mut file).map_err(failed)?;
        if torn {
            // The line that a crash cut short stays, and the next begins on one of its own.
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Self { file, path, service: service.to_owned(), entries })
    }

    /// Everything that it holds, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Appends an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written: then what it was to tell of must not be begun.
    pub fn append(&mut self, incident: &str, event: Event) -> Result<(), JournalError> {
        let entry = Entry {
            schema: SCHEMA.to_owned(),
            at: clock::now(),
            incident: incident.to_owned(),
            service: self.service.clone(),
            event,
        };
        let failed = |error| JournalError::Io { path: self.path.display().to_string(), error };
        let mut line = serde_json::to_vec(&entry).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Puts a journal aside that has grown large. What was begun in the incident that goes on is taken along: it must not
    /// scroll out of what is read.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn make_room(&mut self, going_on: Option<&str>) -> Result<(), JournalError> {
        let failed = |error| JournalError::Io { path: self.path.display().to_string(), error };
        if self.file.metadata().map_err(failed)?.len() < LARGE {
            return Ok(());
        }
        let (mut kept, mut opened) = (Vec::new(), false);
        for entry in self.entries.iter().filter(|entry| going_on == Some(entry.incident.as_str())) {
            match entry.event {
                Event::Opened { .. } | Event::Resumed { .. } if opened => {}
                Event::Opened { .. } | Event::Resumed { .. } => {
                    opened = true;
                    kept.push(entry.clone());
                }
                Event::Closed { .. } | Event::Left { .. } => {}
                Event::Intent { .. } | Event::Outcome { .. } | Event::Interrupted { .. } => {
                    kept.push(entry.clone())
                }
            }
        }
        self.file = self.begin_anew(&kept).map_err(failed)?;
        self.entries = kept;
        Ok(())
    }

    /// A file with these entries in the journal's place, locked; the one before is put aside. There is one of that name at
    /// every moment.
    fn begin_anew(&self, kept: &[Entry]) -> std::io::Result<File> {
        let (new, aside) = (self.path.with_extension("new"), self.path.with_extension("1.jsonl"));
        remove(&new)?;
        let mut file = open(&new)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        for entry in kept {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        file.sync_all()?;
        remove(&aside)?;
        std::fs::hard_link(&self.path, &aside)?;
        std::fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A service's journal. Names are made such that they stay in the folder; what tells services apart is the hash.
fn place(state: &Path, service: &str, home: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = service.chars().take(40).map(plain).collect();
    state.join(FOLDER).join(format!("{name}-{:08x}.jsonl", fnv(&format!("{home}\0{service}"))))
}

/// True where the file is the one that has this name.
fn is_still(file: &File, path: &Path) -> bool {
    let which = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().map(which).ok() == std::fs::metadata(path).map(which).ok()
}

/// True where the record tells of an incident of this service that was not closed: its fix was cut off, stopped, or is at
/// work. Nothing is written, made or locked.
#[must_use]
pub fn is_left_open(state: &Path, service: &str, home: &str) -> bool {
    let read = File::open(place(state, service, home)).and_then(|mut file| read(&mut file));
    read.is_ok_and(|(entries, _)| {
        incidents::incidents(&entries).last().is_some_and(|i| i.recovered.is_none())
    })
}

/// Reads every journal of a state folder, without locking: a line that is being written is left out.
///
/// # Errors
/// Where the folder cannot be read. One that is not there holds nothing.
pub fn read_all(state: &Path) -> std::io::Result<Vec<Entry>> {
    let folder = match std::fs::read_dir(state.join(FOLDER)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut entries = Vec::new();
    for file in folder {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            entries.extend(read(&mut File::open(path)?)?.0);
        }
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

/// Reads one service's journal, and the one that was put aside before it, without locking.
///
/// # Errors
/// Where one that is there cannot be read.
pub fn read_of(state: &Path, service: &str, home: &str) -> std::io::Result<Vec<Entry>> {
    let path = place(state, service, home);
    let mut entries = Vec::new();
    for path in [path.with_extension("1.jsonl"), path] {
        match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            file => entries.extend(read(&mut file?)?.0),
        }
    }
    Ok(entries)
}

/// Opens or makes the file, which only its owner may read, and has its name on disk.
fn open(path: &Path) -> std::io::Result<File> {
    let new = !path.exists();
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if let Some(folder) = path.parent().filter(|_| new) {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// The entries from the end, and whether the last line was cut short. A line that is none is passed over.
fn read(file: &mut File) -> std::io::Result<(Vec<Entry>, bool)> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let entries =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((entries, bytes.last().is_some_and(|byte| *byte != b'\n')))
}

/// FNV-1a, 32 bits: enough to tell a host's few configurations apart.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(summary: &str) -> Event {
        let report = crate::report(&crate::evidence::fixture::healthy(), Vec::new());
        Event::Closed { recovered: true, summary: summary.into(), report: Box::new(report) }
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash_in_the_middle_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), "shop", "a").unwrap();
        journal.append("i1", closed("one")).unwrap();
        let path = journal.path.clone();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"schema\":\"pgmedic.journal/1\",\"at\":\"20").unwrap();
        let mut journal = Journal::open(folder.path(), "shop", "a").unwrap();
        assert_eq!(journal.entries().len(), 1);
        journal.append("i2", closed("two")).unwrap();
        drop(journal);
        let read = read_all(folder.path()).unwrap();
        assert_eq!(read.iter().map(|e| e.incident.as_str()).collect::<Vec<_>>(), ["i1", "i2"]);
    }

    #[test]
    fn one_services_record_is_read_whatever_becomes_of_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let mut shop = Journal::open(folder.path(), "shop", "a").unwrap();
        shop.append("i1", closed("one")).unwrap();
        // A folder in a journal's place cannot be read as one, by root neither.
        std::fs::create_dir(place(folder.path(), "blog", "a")).unwrap();
        assert!(read_all(folder.path()).is_err());
        assert_eq!(read_of(folder.path(), "shop", "a").unwrap().len(), 1);
        assert!(
            read_of(folder.path(), "blog", "a").is_err()
                && read_of(folder.path(), "new", "a").unwrap().is_empty()
        );
    }

    #[test]
    fn a_second_one_is_told_that_the_first_is_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let first = Journal::open(folder.path(), "shop", "a").unwrap();
        let told = Journal::open(folder.path(), "shop", "a").unwrap_err();
        assert!(matches!(told, JournalError::Busy { .. }), "{told}");
        assert!(Journal::open(folder.path(), "shop", "b").is_ok(), "another configuration's");
        drop(first);
        assert!(Journal::open(folder.path(), "shop", "a").is_ok());
    }

    #[test]
    fn what_was_begun_does_not_scroll_away_however_often_its_incident_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), "shop", "a").unwrap();
        let report = Box::new(crate::report(&crate::evidence::fixture::healthy(), Vec::new()));
        let causes = vec!["x".repeat(100_000)];
        journal.append("i1", Event::Opened { causes: causes.clone(), report: report.clone() }).unwrap();
        let intent = Event::Intent {
            step: 1,
            remedy: "recycle-api-pool".into(),
            kind: RemedyKind::AppRestart,
            cause: "x".into(),
            target: "the API".into(),
            action: Action::RestartApi,
            on: Some("m1".into()),
        };
        journal.append("i1", intent).unwrap();
        for _ in 0..3 * MOST / 100_000 {
            journal.make_room(Some("i1")).unwrap();
            journal.append("i1", Event::Resumed { causes: causes.clone(), report: report.clone() }).unwrap();
        }
        assert!(journal.file.metadata().unwrap().len() <= LARGE + 200_000);
        drop(journal);
        let journal = Journal::open(folder.path(), "shop", "a").unwrap();
        let list = incidents::incidents(journal.entries());
        assert_eq!(incidents::begun_on(&list[0], &Action::RestartApi), ["m1"]);
        let all = incidents::incidents(&read_all(folder.path()).unwrap());
        assert_eq!((all.len(), all[0].steps.len()), (1, 1), "told by two journals, done once");
    }

    #[test]
    fn nothing_of_a_state_that_is_not_there() {
        assert!(read_all(Path::new("/nonexistent/pgmedic")).unwrap().is_empty());
    }
}
