//! What all hands keep: the same demands on each, against a double of its own or the real thing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod docker;
mod docker_engine;
mod fly;
mod fly_acts;
mod host;
#[path = "../platforms/http_double.rs"]
mod http_double;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod systemd;
