//! `pgmedic audit` through the real binary on a real Postgres: what it finds, that its script mends it and its undos bring
//! it back, that a server set well has nothing, and that a forecast comes true. Not in here: weaknesses on literals of
//! evidence, which each has in its own file.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod forecast;
mod history;
mod reference;
mod scene;
mod scenes;
mod show;
