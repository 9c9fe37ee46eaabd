//! The API is gone: nothing listens on its port.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let api = Arc::clone(lab.api()?);
    api.stop();
    Ok(Guard::undone_by(move || api.listen()))
}
