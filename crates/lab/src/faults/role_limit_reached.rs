//! The API's role has a CONNECTION LIMIT, and has reached it.

use crate::postgres::ROLE;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let limit = super::by_sql(
        lab,
        &format!("ALTER ROLE {ROLE} CONNECTION LIMIT 5"),
        format!("ALTER ROLE {ROLE} CONNECTION LIMIT -1"),
    )?;
    let held = Sessions::fill(lab.postgres(), &Login::of_api(lab.postgres()))?;
    lab.api_owns(&held);
    Ok(limit.and_holding(held))
}
