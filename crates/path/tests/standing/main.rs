//! The standing session on a real server: what it sees when the door is shut, what it hears, that it is never one of more
//! than two, and what is mended through it. Its cost is measured by `cost`, on demand. Not in here: the statements
//! themselves on every version (`sql`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "../real/mod.rs"]
mod real;
#[path = "../scripted/mod.rs"]
#[allow(dead_code, reason = "each test crate uses its own part of it")]
mod scripted;

mod cap;
mod cost;
mod faults;
mod looks;
mod mending;
mod relay;
mod scene;
