//! The database takes no connections (ALLOW_CONNECTIONS false).

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"),
        format!("ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"),
    )
}
