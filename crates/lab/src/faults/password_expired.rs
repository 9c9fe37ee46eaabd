//! The role's password was valid until a day that has passed.

use crate::postgres::ROLE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("ALTER ROLE {ROLE} VALID UNTIL '2020-01-01'"),
        format!("ALTER ROLE {ROLE} VALID UNTIL 'infinity'"),
    )
}
