//! Hands: whoever restarts and starts instances and extends volumes, for a service that is to be mended. Looking is
//! another trait ([`crate::platform::Platform`]): a check is given none of these, so that it cannot act.
//!
//! Not in here: whether something may be done (`plan`, `gates`), and that it is written down before (`fix`).

mod answer;
pub mod docker;
pub mod fly;
pub mod host;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod running;
pub mod systemd;

use crate::platform::{Part, Untold};
use pgmedic_model::Deed;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use tokio::time::Instant;

/// Something that a deed is done to: a machine, a container, a unit, a workload, a command's service; a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// What the platform knows it by.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// For a volume: its size in GB, where it is known.
    pub size_gb: Option<u64>,
}

/// One deed on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Restarts an instance of a part.
    Restart(Part, Target),
    /// Starts an instance of the database, which does not run.
    StartDb(Target),
    /// Restarts the proxy or pooler.
    RestartProxy(Target),
    /// Grows a volume to so many GB.
    Extend(Target, u64),
}

impl Order {
    /// Whom it is done to.
    #[must_use]
    pub const fn target(&self) -> &Target {
        match self {
            Self::Restart(_, target)
            | Self::StartDb(target)
            | Self::RestartProxy(target)
            | Self::Extend(target, _) => target,
        }
    }

    /// The deed that it is.
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::Restart(Part::Api, _) => Deed::RestartApi,
            Self::Restart(Part::Db, _) => Deed::RestartDb,
            Self::StartDb(_) => Deed::StartDb,
            Self::RestartProxy(_) => Deed::RestartProxy,
            Self::Extend(..) => Deed::ExtendVolume,
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What whoever did it said, in one line, masked.
    pub said: String,
    /// What the platform knows the requests by.
    pub request_ids: Vec<String>,
    /// A grown volume is of use only after its instance is restarted.
    pub needs_restart: bool,
}

/// Why something is not done, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// Nobody here can do it: what would make it possible.
    #[error("{0}")]
    NotOffered(String),
    /// It was asked for and refused: nothing has changed. No permission, too many requests, a lease that another holds.
    #[error("{why}")]
    Refused {
        /// What was asked, what came, and the next step.
        why: String,
        /// What the platform knows the requests by.
        request_ids: Vec<String>,
    },
    /// It was asked for and began, or may have: no answer, an answer that makes no sense, a state that was not reached in
    /// time. It must not be asked for again before somebody has looked.
    #[error("{why}")]
    Unknown {
        /// What was asked, what came, and the next step.
        why: String,
        /// What the platform knows the requests by.
        request_ids: Vec<String>,
    },
}

impl Undone {
    /// A refusal without a request's id.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), request_ids: Vec::new() }
    }

    /// An unknown end without a request's id.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into(), request_ids: Vec::new() }
    }
}

/// Targets, being looked up.
pub type Listing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Target>, Untold>> + Send + 'a>>;
/// A deed, being done.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Result<Done, Undone>> + Send + 'a>>;

/// Whoever can act. Every call is bounded by `until`; nothing is asked for twice.
pub trait Hands: Debug + Send + Sync {
    /// `fly`, `docker`, `systemd`, `kubernetes`, `host`.
    fn kind(&self) -> &'static str;

    /// What it can be asked to do, by its configuration. It asks nobody.
    fn offers(&self) -> Vec<Deed>;

    /// To whom a deed would be done now, in the order in which it should be: each instance of a part, the database's
    /// volumes.
    fn targets(&self, deed: Deed, until: Instant) -> Listing<'_>;

    /// Does it, and comes back when whoever does it says that it is done: a restarted instance runs again and passes its
    /// checks, as far as the platform has any; a grown volume has its size.
    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a>;
}

/// The size, where a volume would grow by it. No platform takes a volume's room back.
fn not_smaller(target: &Target, size_gb: u64) -> Result<u64, Undone> {
    match target.size_gb {
        Some(now) if size_gb <= now => Err(Undone::refused(format!(
            "{} has {now} GB: {size_gb} GB would not extend it; nothing was asked",
            target.name
        ))),
        _ if size_gb == 0 => Err(Undone::refused(format!("{}: 0 GB is no size", target.name))),
        _ => Ok(size_gb),
    }
}
