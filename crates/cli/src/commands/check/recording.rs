//! `--record` and `--replay`: evidence in a file that appears whole or not at all, readable by its owner alone.

use crate::failure::Failure;
use crate::output;
use pgmedic_path::{Evidence, record};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The longest recording that is read, in bytes. One of a busy server is under 1 MB.
const LONGEST: u64 = 64 * 1024 * 1024;

/// A recording being made: a temporary file beside its destination, removed unless it is finished.
pub(crate) struct Recording {
    file: File,
    temporary: PathBuf,
    destination: PathBuf,
}

impl Recording {
    /// Opens the temporary file.
    pub(crate) fn begin(destination: &Path) -> Result<Self, Failure> {
        let refused = |why: String| Failure::Usage(format!("--record {}: {why}", destination.display()));
        let Some(name) = destination.file_name() else { return Err(refused("names no file".to_owned())) };
        if std::fs::metadata(destination).is_ok_and(|there| !there.is_file()) {
            return Err(refused("is there and is not a plain file".to_owned()));
        }
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let temporary = destination.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        match file {
            Ok(file) => Ok(Self { file, temporary, destination: destination.to_path_buf() }),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Writes the evidence and gives back what a replay would read: both diagnose the very same.
    pub(crate) fn finish(mut self, evidence: Evidence) -> Result<Evidence, Failure> {
        let text = record::write(&evidence).map_err(|error| Failure::Defect(error.to_string()))?;
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.temporary, &self.destination));
        if let Err(error) = written {
            output::stderr(&format!("pgmedic: {} was not recorded: {error}\n", self.destination.display()));
        }
        record::read(&text).map_err(|error| Failure::Defect(error.to_string()))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Gone already where the recording was finished.
        let _gone = std::fs::remove_file(&self.temporary);
    }
}

/// Reads a recording; `-` is stdin.
pub(crate) fn replay(path: &Path) -> Result<Evidence, Failure> {
    let refused = |why: String| Failure::Usage(format!("--replay {}: {why}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    };
    read.map_err(|error| refused(error.to_string()))?;
    record::read(&text).map_err(|error| refused(error.to_string()))
}
