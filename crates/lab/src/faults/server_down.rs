//! The postmaster was killed: its backends end, its lock file stays behind.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.signal(Signal::KILL)?;
    postgres.wait_stopped()?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.ensure_up()))
}
