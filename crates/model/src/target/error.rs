//! What is wrong with a connection string, and where. Never holds a password.

/// Where in what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a character of the connection string, counted from 1.
    Character(usize),
    /// In the value of a parameter of the connection string.
    Parameter(String),
    /// In an environment variable.
    Environment(String),
    /// On a line of a file, counted from 1.
    Line {
        /// The file.
        file: String,
        /// The line.
        line: usize,
    },
    /// In the connection as a whole.
    Whole,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Character(n) => write!(f, "character {n}: "),
            Self::Parameter(key) => write!(f, "parameter {key}: "),
            Self::Environment(name) => write!(f, "{name}: "),
            Self::Line { file, line } => write!(f, "{file} line {line}: "),
            Self::Whole => Ok(()),
        }
    }
}

/// Why a target cannot be made of what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{problem}")]
pub struct TargetError {
    /// Where.
    pub place: Place,
    /// What is wrong, with what would be right. Holds no text that could be part of a password.
    pub problem: String,
}

impl TargetError {
    /// An error at a place.
    pub(super) fn at(place: Place, problem: impl Into<String>) -> Self {
        Self { place, problem: problem.into() }
    }
}

/// A value as an error may show it: its first 40 characters, control characters escaped.
pub(super) fn shown(value: &str) -> String {
    let start: String = value.chars().take(40).collect();
    format!("{start:?}")
}
