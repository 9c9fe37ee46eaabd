//! The store in a file of SQLite's (or in memory, by the same code), on a thread of its own: nothing that waits for a disk
//! stands in the way of the watching. One watcher has a file at a time; who reads it (`pgmedic incidents`) need not ask.
//!
//! A file that is broken is set aside under another name, never written over. A file that is somebody else's is not touched
//! at all: the store steps aside, to the same name with `.pgmedic` behind it. Either is said.

mod glance;
mod moved;
mod prune;
mod read;
mod run;
mod samples;
mod schema;

use super::Keep;
use super::entry::StoreError;
use super::op::{Answer, Op};
pub(super) use glance::glance;
pub(super) use read::{kind_word, status_of};
pub(super) use run::what;
use rusqlite::{Connection, ErrorCode};
use rustix::fs::{FlockOperation, flock};
use schema::Whose;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// A page, in bytes.
const PAGE: u64 = 4096;
/// Room that is left for the write-ahead log, in bytes.
const WAL: u64 = 2 << 20;
/// The least that a file may take, in bytes.
const LEAST: u64 = 1 << 20;
/// How often history makes room for one write.
const ROUNDS: u32 = 40;
/// How long another process that reads may hold a write up.
const BUSY: Duration = Duration::from_secs(2);

/// What is to be said to a person: the store's own messages.
pub(super) type Said = Arc<Mutex<Vec<String>>>;

/// The file, open.
#[derive(Debug)]
pub(super) struct Book {
    db: Connection,
    /// None in memory.
    path: Option<PathBuf>,
    keep: Keep,
    said: Said,
    /// Held for as long as the store is open.
    _lock: Option<File>,
}

/// Why a file was not opened.
#[derive(Debug)]
enum Trouble {
    /// It is broken, or a later pgmedic's: it can be set aside.
    Broken(String),
    /// Nothing is wrong with it, as far as is known.
    Barred(String),
    /// The disk does not do what it is asked.
    Disk(String),
}

/// One thing to do, and who waits for it.
type Ask = (Op, oneshot::Sender<Result<Answer, StoreError>>);

/// The thread, to be asked.
#[derive(Debug)]
pub(super) struct Thread {
    asks: mpsc::Sender<Ask>,
    /// Where, for messages.
    place: String,
    /// Dropped when the file is closed and its lock let go.
    ended: oneshot::Receiver<()>,
}

impl Thread {
    /// Opens the file on a thread of its own.
    pub(super) async fn open(path: PathBuf, keep: Keep, said: Said) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        let (asks, asked) = mpsc::channel::<Ask>();
        let (opened, wait) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let work = move || match Book::open(Some(path), keep, said) {
            Ok(mut book) => {
                // Whoever waits may have given up: then nobody asks either.
                let _ = opened.send(Ok(()));
                while let Ok((op, answer)) = asked.recv() {
                    let _ = answer.send(book.run(op));
                }
                drop(book);
                drop(end);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("pgmedic-store".to_owned()).stack_size(512 << 10);
        thread.spawn(work).map_err(|e| StoreError::File { path: place.clone(), why: e.to_string() })?;
        wait.await.map_err(|_| StoreError::Closed)??;
        Ok(Self { asks, place, ended })
    }

    /// Closes the file.
    pub(super) async fn close(self) {
        drop(self.asks);
        // Nothing is ever sent: it ends when the thread does.
        let _ = self.ended.await;
    }

    /// Does one thing.
    pub(super) async fn run(&self, op: Op) -> Result<Answer, StoreError> {
        let (answer, wait) = oneshot::channel();
        self.asks.send((op, answer)).map_err(|_| StoreError::Closed)?;
        wait.await.unwrap_or_else(|_| {
            let why = "its thread has ended".to_owned();
            Err(StoreError::Failed { place: self.place.clone(), what: "go on", why })
        })
    }
}

impl Book {
    /// Opens it, and makes it where it is not there.
    pub(super) fn open(path: Option<PathBuf>, keep: Keep, said: Said) -> Result<Self, StoreError> {
        let Some(path) = path else {
            let memory = Connection::open_in_memory().map_err(Trouble::from);
            let db = memory.and_then(|db| begin(db, &keep)).map_err(|t| t.at(Path::new("memory")))?;
            return Ok(Self { db, path: None, keep, said, _lock: None });
        };
        let path = free_place(path, &said)?;
        let failed = |error: std::io::Error| of_file(&path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let lock = lock(&path)?;
        let db = match whole(&path, &keep) {
            Err(Trouble::Broken(why)) => {
                set_aside(&path, &why, &said)?;
                whole(&path, &keep)
            }
            opened => opened,
        };
        let db = db.map_err(|trouble| trouble.at(&path))?;
        Ok(Self { db, path: Some(path), keep, said, _lock: Some(lock) })
    }

    /// Does one thing. A file that turns out to be broken is set aside, and a new one begun.
    pub(super) fn run(&mut self, op: Op) -> Result<Answer, StoreError> {
        let what = what(&op);
        let mut done = self.once(op.clone());
        // The limit, or the disk: history makes room for what happens now.
        let mut rounds = 0;
        while done.as_ref().is_err_and(is_full) && rounds < ROUNDS && prune::make_room(&self.db) {
            done = self.once(op.clone());
            rounds += 1;
        }
        done.map_err(|error| {
            let why = error.to_string();
            if is_broken(&error) {
                self.begin_anew(&why);
            }
            let place = self.path.as_deref().unwrap_or(Path::new("memory")).display().to_string();
            StoreError::Failed { place, what, why }
        })
    }

    fn begin_anew(&mut self, why: &str) {
        let (Some(path), Ok(memory)) = (self.path.clone(), Connection::open_in_memory()) else { return };
        // The broken one is closed first: its log must not go into the new one.
        drop(std::mem::replace(&mut self.db, memory));
        let set_aside = set_aside(&path, why, &self.said);
        if let Ok(db) = whole(&path, &self.keep) {
            self.db = db;
        }
        if let Err(error) = set_aside {
            say(&self.said, error.to_string());
        }
    }
}

impl Trouble {
    fn at(self, path: &Path) -> StoreError {
        let path = path.display().to_string();
        match self {
            Self::Broken(why) | Self::Barred(why) => StoreError::File { path, why },
            Self::Disk(why) => StoreError::Disk { path, why },
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string();
        match code(&error) {
            _ if is_broken(&error) => Self::Broken(why),
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::Disk(why),
            _ => Self::Barred(why),
        }
    }
}

/// Opens a file, makes it where it is not there, and sees that it is whole.
fn whole(path: &Path, keep: &Keep) -> Result<Connection, Trouble> {
    // SQLite gives its log the rights that the file has.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map_err(|error| {
        let why = error.to_string();
        if is_the_disks(&error) { Trouble::Disk(why) } else { Trouble::Barred(why) }
    })?;
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    let word: String = db.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    if word != "ok" {
        return Err(Trouble::Broken(word));
    }
    begin(db, keep)
}

/// Settings and schema.
fn begin(mut db: Connection, keep: &Keep) -> Result<Connection, Trouble> {
    let pages = keep.limit.saturating_sub(WAL).max(LEAST) / PAGE;
    db.execute_batch(&schema::settings(pages))?;
    schema::bring_up(&mut db)?;
    Ok(db)
}

/// True where it is the disk that fails, and not the place that is wrong: it may be well again, and nobody mistyped.
fn is_the_disks(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let of_disks =
        [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS, Errno::STALE, Errno::NXIO, Errno::NODEV];
    Errno::from_io_error(error).is_some_and(|errno| of_disks.contains(&errno))
}

fn of_file(path: &Path, error: &std::io::Error) -> StoreError {
    let (path, why) = (path.display().to_string(), error.to_string());
    if is_the_disks(error) { StoreError::Disk { path, why } } else { StoreError::File { path, why } }
}

/// Where the store is to be: there, or beside it where that is somebody else's.
fn free_place(path: PathBuf, said: &Said) -> Result<PathBuf, StoreError> {
    let is_foreign = |path: &Path| match schema::whose(path) {
        Ok(whose) => Ok(whose == Whose::Foreign),
        Err(error) => Err(of_file(path, &error)),
    };
    if !is_foreign(&path)? {
        return Ok(path);
    }
    let mut beside = path.clone().into_os_string();
    beside.push(".pgmedic");
    let beside = PathBuf::from(beside);
    let (theirs, ours) = (path.display(), beside.display());
    if is_foreign(&beside)? {
        let why = format!("neither it nor {ours} is a store of pgmedic's");
        return Err(StoreError::File { path: theirs.to_string(), why });
    }
    say(said, format!("{theirs} is no store of pgmedic's and was not touched: the store is {ours}"));
    Ok(beside)
}

/// The lock that a second watcher finds taken.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = path.display().to_string();
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(name);
    let file = opened.map_err(|error| of_file(Path::new(&path), &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Busy { path }),
        Err(error) => Err(StoreError::File { path, why: error.to_string() }),
    }
}

/// Gives a broken file another name, its log with it.
fn set_aside(path: &Path, why: &str, said: &Said) -> Result<(), StoreError> {
    let at: String =
        pgmedic_path::clock::now().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for end in ["-shm", "-wal", ""] {
        match std::fs::rename(named(end), named(&format!(".broken-{at}{end}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let why = format!("it is broken ({why}), and cannot be set aside: {error}");
                return Err(StoreError::File { path: path.display().to_string(), why });
            }
            _ => {}
        }
    }
    let aside = named(&format!(".broken-{at}"));
    say(
        said,
        format!(
            "the store {} cannot be used ({why}): it was set aside as {}, and a new one begun; what it held is not known until a person has looked",
            path.display(),
            aside.display()
        ),
    );
    Ok(())
}

fn say(said: &Said, words: String) {
    said.lock().unwrap_or_else(PoisonError::into_inner).push(words);
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull)
}

fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
