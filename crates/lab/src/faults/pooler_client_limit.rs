//! The pooler has as many clients as `max_client_conn` allows, and refuses the next.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let login = Login::of_api(lab.postgres()).through(lab.pooler()?.port());
    Sessions::fill(lab.postgres(), &login).map(Guard::holding)
}
