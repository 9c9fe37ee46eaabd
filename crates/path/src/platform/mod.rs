//! Windows: what a platform or this host shows when the door is shut.
//!
//! Here: this host (`host`), read through /proc and the filesystem without running a program, and [`Platform`], what
//! everything else that runs a service (Fly, Docker, systemd, Kubernetes) is asked. Not in here: what the evidence means,
//! which the causes of the rooms say.

pub mod docker;
pub mod evidence;
pub mod fly;
pub mod host;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod systemd;
pub mod told;

mod backlog;
mod closed_door;
mod clusters;
mod command;
mod conf;
mod flows;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod haproxy;
mod haproxy_log;
mod haproxy_timeouts;
mod key_file;
mod listeners;
mod log_end;
mod log_lines;
mod log_prefix;
mod newest;
mod observe;
pub(crate) mod own_socket;
mod place;
mod pooler_log;
mod postmaster;
mod procfs;
mod resources;
mod server_log;
#[cfg(target_os = "linux")]
mod sock_diag;
pub(crate) mod stuck;
mod titles;
mod trail;
pub(crate) mod volumes;

pub(crate) use observe::observe;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use tokio::time::Instant;
use told::{Instance, PlatformVolume};

/// Which of a service's parts a platform runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The API.
    Api,
    /// The database.
    Db,
}

/// Why a platform has not told something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// It has no way to tell this: which, and what has.
    #[error("{0}")]
    NotOffered(&'static str),
    /// The configuration does not name the part: `platform.api`, `platform.db`.
    #[error("not configured (`platform.{0}`)")]
    NotNamed(&'static str),
    /// It was asked and did not tell: no permission, no such thing, no answer, an answer that makes no sense. Says
    /// what was asked, what came, and the next step.
    #[error("{0}")]
    Failed(String),
}

/// What a platform is asked, under way.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Untold>> + Send + 'a>>;

/// Something that runs the API's or the database's processes and can be asked about them. Each capability is optional;
/// what a platform cannot tell it says. Every answer is bounded in bytes and, by `until`, in time; nothing is tried twice.
pub trait Platform: Debug + Send + Sync {
    /// `fly`, `docker`, `systemd`, `kubernetes`.
    fn kind(&self) -> &'static str;

    /// The machines, containers, units or pods of a part, with their states, ends and health checks.
    fn instances(&self, part: Part, until: Instant) -> Asked<'_, Vec<Instance>>;

    /// The database's volumes.
    fn volumes(&self, _until: Instant) -> Asked<'_, Vec<PlatformVolume>> {
        Box::pin(async { Err(Untold::NotOffered("this platform tells nothing of volumes")) })
    }

    /// The last lines of a part's log, oldest first, at most 256 KiB.
    fn log(&self, _part: Part, _until: Instant) -> Asked<'_, String> {
        Box::pin(async { Err(Untold::NotOffered("this platform tells nothing of logs")) })
    }
}
