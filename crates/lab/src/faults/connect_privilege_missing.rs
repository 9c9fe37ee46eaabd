//! CONNECT on the database was revoked, from everybody and from its owner.

use crate::postgres::{DATABASE, ROLE};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC, {ROLE}"),
        format!("GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC, {ROLE}"),
    )
}
