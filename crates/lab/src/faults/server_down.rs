//! The server was ended at once, as by a PANIC: no postmaster is left.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.stop(Stop::Immediate)?;
    Ok(Guard::undone_by(move || postgres.up()))
}
