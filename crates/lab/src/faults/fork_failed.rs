//! The postmaster may have no more processes (RLIMIT_NPROC): sessions that are in go on, nobody new gets one.

use crate::limit::{Lowered, Resource};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    // The limit counts all processes of the user, and binds only the process that has it: no neighbour is starved.
    let lowered = Lowered::set(lab.postgres(), Resource::Processes, 1)?;
    lab.restart_api();
    Ok(Guard::holding(lowered))
}
