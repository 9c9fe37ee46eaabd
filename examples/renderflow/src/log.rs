//! The log: one line for each thing worth reading, with its time and level, to stdout as platforms want it.

use pgmedic_model::Timestamp;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Where lines go. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Mutex<dyn Write + Send>>);

impl Log {
    /// To stdout.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(std::io::stdout())
    }

    /// To a file, or a buffer of a test.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }

    /// What happened.
    pub fn info(&self, what: impl Display) {
        self.line("INFO", &what);
    }

    /// What went wrong.
    pub fn error(&self, what: impl Display) {
        self.line("ERROR", &what);
    }

    fn line(&self, level: &str, what: &dyn Display) {
        let line = format!("{} {level} {what}\n", Timestamp::from_system(SystemTime::now()));
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written stops no request.
        let _unwritten = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}
