//! The pooler hangs: stopped by SIGSTOP. The kernel still accepts its connections.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let pooler = Arc::clone(lab.pooler()?);
    pooler.signal(Signal::STOP)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || pooler.signal(Signal::CONT)))
}
