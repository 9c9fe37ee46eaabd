//! Every ordinary slot is taken by the API's sessions; only the reserved ones are left.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let held = Sessions::fill(lab.postgres(), &Login::of_api(lab.postgres()))?;
    lab.api_owns(&held);
    Ok(Guard::holding(held))
}
