//! What the engine needs of whoever starts it: the configuration, a memory of servers, and somebody to tell. Values and a
//! trait, no I/O.

use crate::alerts::Happened;
use crate::incident::{Act, Change, Incident};
use crate::settings::{Settings, Watched};
use pgmedic_model::Timestamp;
use std::fmt::Debug;
use std::net::SocketAddr;

/// The configuration, resolved: every secret fetched.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `[watch]`.
    pub settings: Settings,
    /// The services.
    pub services: Vec<Planned>,
}

/// A service, and what tells this version of it from another.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The service.
    pub watched: Watched,
    /// Another number where anything of it is another, its secrets among that.
    pub mark: u64,
}

/// A server that was met for the first time behind a service's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// The service.
    pub service: String,
    /// Where it answered.
    pub address: String,
    /// `system_identifier`.
    pub system_identifier: String,
    /// When.
    pub since: Timestamp,
}

/// Whoever starts the engine.
pub trait Host: Debug + Send + Sync {
    /// Reads the configuration anew. It may block: it is called on a thread of its own.
    ///
    /// # Errors
    /// What is wrong with it, in words for a person, without secrets.
    fn load(&self) -> Result<Plan, String>;

    /// Remembers which servers services have. It may block: it is called on a thread of its own.
    ///
    /// # Errors
    /// Why that is not remembered.
    fn remember(&self, met: &[Met]) -> Result<(), String>;

    /// Is told what happens. It must not block.
    fn tell(&self, news: &News<'_>);
}

/// What happens.
#[derive(Debug)]
pub enum News<'a> {
    /// It watches.
    Started {
        /// How many services.
        services: usize,
        /// Where it listens, if it does.
        listen: Option<SocketAddr>,
        /// Incidents that were open already.
        open: usize,
    },
    /// An incident was opened, has changed, or is over.
    Incident(Change, &'a Incident),
    /// Something is being done, or was done.
    Acted(&'a str, &'a Act),
    /// A fix ended.
    Fixed {
        /// For which incident.
        incident: &'a str,
        /// For which service.
        service: &'a str,
        /// How, in one line.
        summary: &'a str,
    },
    /// Nothing is done by itself for an incident, and why.
    Held(&'a Incident, &'a str),
    /// Somebody was told, or could not be.
    Alert(&'a Happened),
    /// The configuration was read anew and taken.
    Reloaded {
        /// Services that are new.
        added: usize,
        /// Services that are gone.
        removed: usize,
        /// Services that are others than before.
        changed: usize,
        /// What takes effect only at the next start.
        later: &'a [&'static str],
    },
    /// The configuration was read anew and refused: why. What was there before stays.
    Refused(&'a str),
    /// Something that is no incident is in the way.
    Trouble(&'a str),
    /// It ends.
    Stopping,
}
