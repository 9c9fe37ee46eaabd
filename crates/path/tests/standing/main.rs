//! The standing session on a real server: what it sees when the door is shut, what it hears, that it is never one of more
//! than two, and what is mended through it. Not in here: what a scripted peer makes of it (`hostile_peers`).

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../real/mod.rs"]
mod real;

mod looks;
mod scene;
