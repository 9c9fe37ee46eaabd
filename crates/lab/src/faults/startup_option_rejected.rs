//! The service's URL sets a role at login (`options=-c role=reporting`), and that role was dropped.

use crate::postgres::ROLE;
use crate::{Guard, Lab, LabError};

/// What the service's URL has for `options`.
pub const OPTIONS: &str = "-c role=reporting";

/// Makes the role that [`OPTIONS`] asks for, so that the service is well before the fault.
///
/// # Errors
/// Where the server refuses.
pub fn prepare(lab: &Lab) -> Result<(), LabError> {
    lab.postgres().sql(&format!("CREATE ROLE reporting; GRANT reporting TO {ROLE}")).map(drop)
}

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        "DROP ROLE IF EXISTS reporting",
        format!("CREATE ROLE reporting; GRANT reporting TO {ROLE}"),
    )
}
