//! Tries to make a fix do harm, at the library's level: forged and outlived evidence, a hostile database, two at once, and
//! scripted hands that time out, refuse, answer nonsense or come back late. Each test counts harm: sessions or instances
//! that should have been let be and were not. Not in here: the whole binary (`cli`'s tests).

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../real/mod.rs"]
mod real;

mod crowd;
mod gates;
mod hands;
mod hostile;
mod identity;
mod scene;
