//! Somebody said DISABLE at the pooler's console, and nobody said ENABLE.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let pooler = Arc::clone(lab.pooler()?);
    pooler.console(&format!("DISABLE {DATABASE}"))?;
    lab.restart_api();
    Ok(Guard::undone_by(move || pooler.console(&format!("ENABLE {DATABASE}")).map(drop)))
}
