//! What a pool tells its owner as it happens, for logs and alerts.
//!
//! Not in here: numbers (`metrics`).

use crate::reason::Attempt;
use crate::state::Checkout;
use pgmedic_model::Ms;
use std::fmt;
use std::time::Duration;

/// Something that a person may want to read in a log. Its `Display` is one line, and holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// No connection can be opened; callers are told so from now on, unless one of the pool's own still serves.
    Down {
        /// What each attempt failed of.
        attempts: Vec<Attempt>,
    },
    /// A connection could be opened again.
    Up {
        /// After so long.
        after: Duration,
        /// And so many openings that failed.
        tries: u32,
    },
    /// A connection is held longer than `leak_after`. Said once for each checkout.
    Leak(Checkout),
    /// A connection ended that nobody had closed: by the server, a proxy or the network.
    Lost {
        /// What was said, if anything.
        why: String,
    },
    /// A connection that came back unclean was made clean again.
    Cleaned {
        /// What had been left behind.
        what: &'static str,
    },
    /// A connection that came back unclean could not be made clean, and was closed.
    Unclean {
        /// What had been left behind.
        what: &'static str,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down { attempts } => {
                f.write_str("database down: ")?;
                write_attempts(f, attempts)
            }
            Self::Up { after, tries } => {
                write!(f, "database up again after {}, {tries} failed openings", Ms::from(*after))
            }
            Self::Leak(checkout) => write!(f, "a connection is not given back: {checkout}"),
            Self::Lost { why } => write!(f, "a connection was lost: {why}"),
            Self::Cleaned { what } => write!(f, "a connection came back with {what}, which was undone"),
            Self::Unclean { what } => {
                write!(f, "a connection came back with {what}, which could not be undone; it was closed")
            }
        }
    }
}

/// The attempts in one line: each once, the last one first.
pub(crate) fn write_attempts(f: &mut fmt::Formatter<'_>, attempts: &[Attempt]) -> fmt::Result {
    const SHOWN: usize = 3;
    for (n, attempt) in attempts.iter().rev().take(SHOWN).enumerate() {
        if n > 0 {
            f.write_str("; ")?;
        }
        write!(f, "{attempt}")?;
    }
    match attempts.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "; and {more} more"),
    }
}

/// The same as a string.
pub(crate) fn attempts(attempts: &[Attempt]) -> String {
    struct Shown<'a>(&'a [Attempt]);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_attempts(f, self.0)
        }
    }
    Shown(attempts).to_string()
}
