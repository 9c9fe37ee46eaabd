//! Why a part of the lab could not be had.

use std::time::Duration;

/// Why the lab cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program is not installed.
    #[error("needs {program}: apt-get install {package}")]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// Only root may do it.
    #[error("needs root: {0}")]
    NeedsRoot(&'static str),
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program ended where it should have gone on, or failed.
    #[error("{what} ended ({status}): {said}")]
    Ended {
        /// Which program.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote.
        said: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {waited:?}{last}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What was seen last, after a colon; empty where nothing was.
        last: String,
    },
    /// A statement failed.
    #[error("{statement}: {said}")]
    Sql {
        /// The statement.
        statement: String,
        /// What the server or the driver said.
        said: String,
        /// SQLSTATE, where the server gave one.
        code: Option<String>,
    },
    /// A fault needs a part that this lab was built without.
    #[error("this lab was built without {0}")]
    PartAbsent(&'static str),
    /// Another user owns the place where the lab keeps its template.
    #[error("{0} is not ours; remove it, or set TMPDIR")]
    NotOurs(String),
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl LabError {
    /// A statement that failed, in the server's words where it has any.
    pub(crate) fn sql(statement: &str, e: &tokio_postgres::Error) -> Self {
        Self::Sql {
            statement: statement.to_owned(),
            said: e.as_db_error().map_or_else(|| e.to_string(), ToString::to_string),
            code: e.code().map(|code| code.code().to_owned()),
        }
    }
}

/// Names what was tried when the system refuses.
pub(crate) trait Tried<T> {
    /// Turns an I/O error into one that says what was tried.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<std::io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|e| LabError::Io { what: what(), source: e.into() })
    }
}
