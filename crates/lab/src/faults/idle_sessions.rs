//! The API's sessions take every ordinary slot, and have idled for longer than the policy allows.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::time::Duration;

/// Injects it; every session idles for longer than `idle`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, idle: Duration) -> Result<Guard, LabError> {
    lab.restart_api();
    let held = Sessions::fill(lab.postgres(), &Login::of_api(lab.postgres()))?;
    lab.api_owns(&held);
    held.wait_age(idle)?;
    Ok(Guard::holding(held))
}
