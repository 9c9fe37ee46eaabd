//! The resolver is there and never answers: stopped by SIGSTOP.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let dns = Arc::clone(lab.dns()?);
    dns.signal(Signal::STOP)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || dns.signal(Signal::CONT)))
}
