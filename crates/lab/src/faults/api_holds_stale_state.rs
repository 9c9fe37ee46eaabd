//! The API's sockets are gone, and its pool goes on handing them out; a new one would come about.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let api = Arc::clone(lab.api()?);
    api.use_once()?;
    api.trust_pool(true);
    api.lose_sockets();
    Ok(Guard::undone_by(move || {
        api.trust_pool(false);
        api.restart();
        Ok(())
    }))
}
