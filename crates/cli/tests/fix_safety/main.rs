//! Tries to make `pgmedic fix` do harm, through the real binary on a real Postgres: each test breaks, or tries to, one line of
//! "what no remedy may ever do", and counts the sessions that should have been let be and were not. Not in here: forged
//! evidence and scripted hands (`path`'s tests `fix`).

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod asked;
mod disk;
mod killed;
mod record;
mod scene;
mod sessions;
mod two;
mod usage;
