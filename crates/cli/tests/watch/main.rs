//! `pgmedic watch` as it is run: the real binary on a real Postgres. `scene` has a receiver of alerts that writes down what it is
//! told, and a service manager's socket; `stage` has the runbook's parts with a real Prometheus and a real Alertmanager. Not in
//! here: the parts on scripted peers and paused time (`pgmedic-watch`'s own tests).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod folder;
mod full;
mod history;
mod incident;
mod killed;
mod life;
mod monitors;
mod pair;
mod promoted;
mod receiver;
mod runbook;
mod scene;
mod stage;
mod store;
mod supervisor;
mod unrehearsed;
mod web;
