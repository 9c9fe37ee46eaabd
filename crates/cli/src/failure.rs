//! Why pgmedic could not do what was asked, and the exit code that says so. A verdict on a service is no failure.

use crate::config::ConfigError;
use pgmedic_model::TargetError;
use serde::Serialize;

/// Exit code for bad usage (sysexits.h `EX_USAGE`).
pub(crate) const USAGE: i32 = 64;
/// Exit code where nothing was done: `fix`, "not healthy yet and nothing more is allowed".
pub(crate) const NOTHING_DONE: i32 = 1;
/// Exit code for a defect in pgmedic (`EX_SOFTWARE`).
pub(crate) const DEFECT: i32 = 70;
/// Exit code for bad configuration (`EX_CONFIG`).
pub(crate) const CONFIGURATION: i32 = 78;

/// A failure of pgmedic to do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line asks for what does not exist.
    #[error("{0}")]
    Usage(String),
    /// `pgmedic.toml` is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The environment names a connection that cannot be read.
    #[error("{0}")]
    Environment(String),
    /// Nothing was begun: another pgmedic is at it, or there is nowhere to write down what would be done.
    #[error("{0}")]
    Record(String),
    /// Stopped by a signal.
    #[error("stopped by {name}")]
    Signal {
        /// `SIGINT`, `SIGTERM`.
        name: &'static str,
        /// 128 and the signal's number.
        exit: i32,
    },
    /// pgmedic itself is wrong.
    #[error("a defect in pgmedic: {0}")]
    Defect(String),
}

impl Failure {
    /// A connection string of the command line that cannot be read.
    pub(crate) fn url(what: &str, error: &TargetError) -> Self {
        Self::Usage(format!("{what}: {error}"))
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> i32 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Config(_) | Self::Environment(_) => CONFIGURATION,
            Self::Record(_) => NOTHING_DONE,
            Self::Signal { exit, .. } => *exit,
            Self::Defect(_) => DEFECT,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Config(_) | Self::Environment(_) => "configuration",
            Self::Record(_) => "record",
            Self::Signal { .. } => "interrupted",
            Self::Defect(_) => "defect",
        }
    }

    /// The failure in one line.
    pub(crate) fn one_line(&self) -> String {
        match self {
            Self::Config(error) => error.one_line(),
            other => other.to_string(),
        }
    }

    /// The failure as the one document on stdout: `schema: "pgmedic.error/1"`.
    pub(crate) fn document(&self) -> ErrorDocument<'_> {
        let config = if let Self::Config(error) = self { Some(error) } else { None };
        ErrorDocument {
            schema: "pgmedic.error/1",
            error: self.one_line(),
            kind: self.kind(),
            exit: self.exit(),
            file: config.map(|error| error.file.as_str()),
            line: config.and_then(|error| error.at).map(|at| at.0),
            column: config.and_then(|error| error.at).map(|at| at.1),
            nearest: config.and_then(|error| error.nearest.as_deref()),
        }
    }
}

/// `pgmedic.error/1`.
#[derive(Serialize)]
pub(crate) struct ErrorDocument<'a> {
    schema: &'static str,
    error: String,
    kind: &'static str,
    exit: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<&'a str>,
}

impl Failure {
    /// Tells the failure: on stderr for people, and on stdout in the format that was asked for.
    pub(crate) fn tell(&self, format: Option<&str>) {
        match format {
            Some("json") => {
                let document = serde_json::to_string_pretty(&self.document()).unwrap_or_default();
                crate::output::stdout(&format!("{}\n", crate::render::json::plain(&document)));
            }
            Some("nagios") => {
                let line = crate::render::nagios::line_of(&self.one_line());
                crate::output::stdout(&format!("PGMEDIC UNKNOWN - {line}\n"));
            }
            _ => {}
        }
        if !matches!(self, Self::Defect(_)) {
            crate::output::stderr(&format!(
                "pgmedic: {}\n",
                crate::render::text::visible_lines(&self.to_string())
            ));
        }
    }
}

/// The panic hook: where it happened and what to do, without the message, which may quote what was read.
pub(crate) fn announce_defect(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    crate::output::stderr(&format!(
        "pgmedic: a defect in pgmedic {}{place}. This says nothing about the database.\n\
         Please report this line and the command at {}/issues\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_REPOSITORY"),
    ));
}
