//! Writing to stdout and stderr: whole documents at once; a reader who has gone away is no error.

use crate::failure::Failure;
use std::io::Write;
use std::path::Path;

/// Writes a document to stdout. A closed pipe is success; any other trouble is told on stderr.
pub(crate) fn stdout(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
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

/// Writes what `--output` names: beside the file, and then in its place, so that nobody ever reads half of one.
///
/// # Errors
/// Where it cannot be written; what was there before is as it was.
pub(crate) fn file(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("--output {}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::IsADirectory.into()))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = path.with_file_name(beside);
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(|error| {
        let _absent = std::fs::remove_file(&beside);
        failed(error)
    })
}
