//! Sessions of pgmedic itself, from many checks at once, take every ordinary slot.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let checks = Login::of_api(lab.postgres()).named("pgmedic");
    Sessions::fill(lab.postgres(), &checks).map(Guard::holding)
}
