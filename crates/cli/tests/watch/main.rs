//! `pgmedic watch` as it is run: the real binary on a real Postgres, a receiver of alerts that writes down what it is told, a
//! service manager's socket. Not in here: the parts on scripted peers and paused time (`pgmedic-watch`'s own tests).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod incident;
mod killed;
mod life;
mod receiver;
mod scene;
mod store;
