//! No line of pg_hba.conf lets the API's role in.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.set_hba("host all monitor,rescue 127.0.0.0/8 scram-sha-256\n")?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.reset_hba()))
}
