//! Somebody said PAUSE at the pooler's console, and nobody said RESUME.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let pooler = Arc::clone(lab.pooler()?);
    pooler.console(&format!("PAUSE {DATABASE}"))?;
    Ok(Guard::undone_by(move || match pooler.console(&format!("RESUME {DATABASE}")) {
        // Somebody has resumed it meanwhile.
        Err(LabError::Sql { said, .. }) if said.contains("is not paused") => Ok(()),
        other => other.map(drop),
    }))
}
