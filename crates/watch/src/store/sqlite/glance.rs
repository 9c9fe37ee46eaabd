//! The file as it is read by somebody who is not its watcher (`pgmedic incidents`, `pgmedic audit`), whether a watcher has it or not. Nothing is
//! made, changed, or set aside; the watcher's lock is not asked for.
//!
//! While a watcher has it, or where one was killed, the log beside the file holds the latest: it is read with the file, and
//! its index is not written to (`readonly_shm`). Without a log nobody writes: the file is taken as it is (`immutable`), for
//! else SQLite would make a log and an index, of which a watcher with fewer rights could not get rid.

use super::read::read;
use super::schema::{self, Whose};
use crate::store::op::{Answer, Op};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A watcher that starts or ends meanwhile changes the way in which the file is to be read: so often it is tried.
const TRIES: u32 = 3;
/// What stands for itself in the path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Answers what only reads.
///
/// # Errors
/// In words: there is no store there, or it cannot be read.
pub(in crate::store) fn glance(path: &Path, op: &Op) -> Result<Answer, String> {
    let path = place(path)?;
    let log = beside(&path, "-wal");
    let mut answer = Err("it changes hands all the time".to_owned());
    for _ in 0..TRIES {
        let alone = !log.exists();
        answer = once(&path, alone, op.clone());
        if answer.is_ok() && alone != log.exists() {
            return answer;
        }
    }
    answer
}

fn once(path: &Path, alone: bool, op: Op) -> Result<Answer, String> {
    let words = |error: rusqlite::Error| error.to_string();
    let whole = std::path::absolute(path).map_err(|error| error.to_string())?;
    let way = if alone { "immutable=1" } else { "readonly_shm=1" };
    let uri = format!("file://{}?mode=ro&{way}", percent_encode(whole.as_os_str().as_bytes(), PATH));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(uri, flags).map_err(words)?;
    db.busy_timeout(super::BUSY).map_err(words)?;
    schema::is_known(&db, op.since())?;
    read(&db, op).map_err(words)
}

/// Where a watcher would have it: there, or beside it where that is somebody else's.
fn place(path: &Path) -> Result<PathBuf, String> {
    let whose = |path: &Path| schema::whose(path).map_err(|error| error.to_string());
    let mut place = path.to_path_buf();
    if whose(&place)? == Whose::Foreign {
        place = beside(path, ".pgmedic");
    }
    match whose(&place)? {
        Whose::Ours => Ok(place),
        Whose::Free => Err("it is not there: pgmedic watch makes it".to_owned()),
        Whose::Foreign => Err("it is no store of pgmedic's".to_owned()),
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
