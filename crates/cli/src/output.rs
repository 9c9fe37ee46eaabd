//! Writing to stdout and stderr: whole documents at once; a reader who has gone away is no error.

use crate::failure::Failure;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Writes a document to stdout. A closed pipe is success; any other trouble is told on stderr.
pub(crate) fn stdout(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            stderr(&format!("pgmedic: stdout cannot be written: {error}\n"));
        }
        _ => {}
    }
}

/// Writes to stderr. Nobody is left to tell where that fails.
pub(crate) fn stderr(text: &str) {
    let mut out = std::io::stderr().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a document that is to be kept, where `--output` says or else to stdout. A closed pipe is success.
///
/// # Errors
/// Where it cannot be written: a redirected file with half a document in it is no success.
pub(crate) fn document(to: Option<&Path>, text: &str) -> Result<(), Failure> {
    if let Some(path) = to {
        return file(path, text);
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Usage(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes what `--output` names.
///
/// # Errors
/// Where it cannot be written; what was there before is as it was.
pub(crate) fn file(path: &Path, text: &str) -> Result<(), Failure> {
    whole(path, text, true).map_err(|error| Failure::Usage(format!("--output {}: {error}", path.display())))
}

/// Writes a file whole or not at all: beside it, and then in its place. Without `over` never over another.
///
/// # Errors
/// Where it cannot be written, or is no plain file; what was there before is as it was.
pub(crate) fn whole(path: &Path, text: &str, over: bool) -> std::io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
    if over && std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "is there and is no plain file"));
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let written = new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).and_then(|()| {
        // A link is refused where a file is there already; a rename is not.
        if over { std::fs::rename(&beside, path) } else { std::fs::hard_link(&beside, path) }
    });
    let _renamed = std::fs::remove_file(&beside);
    written
}
