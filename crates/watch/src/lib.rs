//! The daemon for one service or a thousand: looks at every interval, opens incidents on confirmed evidence, alerts, mends
//! what the policy allows, proves it, and keeps the record.
//!
//! ```text
//!  schedule (I/O)      incidents, policy (pure)        engine (I/O)
//!  one task a    Seen                       Change      store · alerts · mend
//!  service    ────────▶  fold, confirm    ──────────▶   board ──▶ metrics, HTTP API
//! ```
//!
//! Not in here: looking and judging (`pgmedic_path`), mending (`pgmedic_path::fix`), clap, the configuration's file.

pub mod alerts;
pub mod board;
pub mod clock;
pub mod engine;
#[cfg(test)]
mod fixture;
pub mod forecast;
pub mod hold;
pub mod http;
pub mod incident;
pub mod incidents;
pub mod mend;
pub mod metrics;
pub mod notify;
mod now;
pub mod policy;
pub mod schedule;
pub mod seen;
pub mod settings;
pub mod store;
pub mod tally;
