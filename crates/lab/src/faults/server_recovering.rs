//! A backend was killed with SIGKILL: the server ended every session and recovers, and does not get on with it.

use crate::postgres::Stop;
use crate::process;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use pgmedic_model::pooler_words::Words;
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    // Before Postgres 14 only a start takes up a restore_command.
    postgres.stop(Stop::Fast)?;
    super::hold_recovery(&postgres)?;
    postgres.up()?;
    lab.restart_api();
    let victim = Sessions::open(&postgres, &Login::of_api(&postgres).named("victim"), 1)?;
    let pid = postgres.value("select pid::text from pg_stat_activity where application_name = 'victim'")?;
    postgres.write("recovery.signal", "")?;
    process::send(pid.parse().unwrap_or_default(), Signal::KILL)?;
    super::wait_refusal(&postgres, Words::InRecovery)?;
    Ok(Guard::undone_by(move || super::let_recovery_go(&postgres)).and_holding(victim))
}
