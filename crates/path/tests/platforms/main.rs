//! What every platform keeps: the same demands on each, against a double of its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod docker;
mod http_double;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod systemd;
