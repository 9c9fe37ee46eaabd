//! The API serves, and never made its pool: `Database not initialised`. It was started with settings that led nowhere;
//! they have been put right since, and whoever starts it anew has it well.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (api, place) = (Arc::clone(lab.api()?), lab.place());
    api.lose_pool()?;
    Ok(Guard::undone_by(move || api.redeploy(place)))
}
