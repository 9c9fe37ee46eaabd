//! Nothing listens on the database's port: the server is stopped. From outside that is all that can be seen of it.

use super::stopped_by_administrator;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    stopped_by_administrator::inject(lab)
}
