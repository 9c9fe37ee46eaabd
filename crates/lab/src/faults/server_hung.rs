//! The postmaster hangs: stopped by SIGSTOP. Sessions that are open go on; no new one begins.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.signal(Signal::STOP)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.signal(Signal::CONT)))
}
