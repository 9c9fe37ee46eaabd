//! Writing to stdout and stderr: whole documents at once; a reader who has gone away is no error.

use std::io::Write;

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
