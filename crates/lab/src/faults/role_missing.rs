//! The API's role does not exist on this server.

use crate::postgres::ROLE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("ALTER ROLE {ROLE} RENAME TO elsewhere"),
        format!("ALTER ROLE elsewhere RENAME TO {ROLE}"),
    )
}
