//! The proxy hangs: stopped by SIGSTOP. The kernel still accepts its connections.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let proxy = Arc::clone(lab.proxy()?);
    proxy.signal(Signal::STOP)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || proxy.signal(Signal::CONT)))
}
