//! The lab: a real Postgres, HAProxy, PgBouncer, DNS server and API in one temp folder on loopback, and the faults
//! that break them.
//!
//! Everything here is real and short-lived: it lives as long as its [`Lab`] and ends with it, also on a panic, a
//! ctrl-C or a kill -9. The lab is asked from ordinary, not from async code; what needs a runtime has one of its own.
//! Not in here: what a fault should evoke (`cli`'s drills) and how it is found (`path`).

pub mod api;
pub mod bystanders;
pub mod certificates;
pub mod cgroup;
pub mod dns;
pub mod docker;
pub mod error;
pub mod fault;
pub mod faults;
mod firewall;
pub mod fly;
pub mod haproxy;
mod janitor;
mod lab;
pub mod limit;
pub mod load;
pub mod pgbouncer;
mod ports;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod sessions;
pub mod understudy;
pub mod volume;
pub mod wait;

pub use error::LabError;
pub use fault::Guard;
pub use lab::{Lab, Parts, PoolerSize};
