//! Somebody stopped the server in good order (`pg_ctl stop -m fast`), and it stays stopped.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.stop(Stop::Fast)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.ensure_up()))
}
