//! Windows: what a platform or this host shows when the door is shut.
//!
//! Here: this host (`host`), read through /proc and the filesystem, without running a program. Not in here: what the
//! evidence means, which the causes of the rooms say, and any action.

pub mod evidence;
pub mod host;

mod backlog;
mod closed_door;
mod clusters;
mod conf;
mod haproxy;
mod listeners;
mod log_lines;
mod log_prefix;
mod place;
mod postmaster;
mod procfs;
mod server_log;
mod titles;
mod trail;
mod volumes;
