//! The role's password was changed, and the API still has the old one.

use crate::postgres::{PASSWORD, ROLE};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("ALTER ROLE {ROLE} PASSWORD 'rotated'"),
        format!("ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'"),
    )
}
