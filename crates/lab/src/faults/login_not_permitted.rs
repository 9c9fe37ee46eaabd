//! The API's role may not log in.

use crate::postgres::ROLE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(lab, &format!("ALTER ROLE {ROLE} NOLOGIN"), format!("ALTER ROLE {ROLE} LOGIN"))
}
