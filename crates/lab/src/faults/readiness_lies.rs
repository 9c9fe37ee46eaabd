//! The API's readiness says connected without asking, and its server is down.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let api = Arc::clone(lab.api()?);
    api.stand_in()?.lie(true);
    let down = super::server_down::inject(lab);
    if down.is_err() {
        api.stand_in()?.lie(false);
    }
    Ok(down?.and_undone_by(move || {
        api.stand_in()?.lie(false);
        Ok(())
    }))
}
