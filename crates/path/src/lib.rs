//! The walk from an API to the disk of its Postgres.
//!
//! `walk` gathers evidence (I/O), `diagnose` turns evidence into findings (pure), `report` puts both on one page (pure).
//! Not in here: clap, exit codes, colours, HTML.

#[macro_use]
mod cause;

pub mod apply;
pub mod aside;
pub mod audit;
pub mod clock;
pub mod diagnose;
pub mod events;
pub mod evidence;
mod explains;
pub mod fix;
pub mod forecast;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gates;
pub mod hands;
pub mod http;
pub mod identity;
mod instances;
pub mod journal;
mod log_time;
pub mod paste;
pub mod plan;
pub mod platform;
pub mod preflight;
pub mod record;
pub mod report;
pub mod rooms;
pub mod route;
mod said;
pub mod service;
pub mod sql;
pub mod standing;
pub mod unrecognised;
pub mod veil;
pub mod walk;
mod ways;

pub use cause::{Cause, Proof};
pub use diagnose::{diagnose, latent};
pub use evidence::{Evidence, Seen};
pub use report::report;
pub use service::Service;
pub use veil::veiled;
pub use walk::{walk, walk_for};
