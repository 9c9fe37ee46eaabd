//! Every transaction in the database begins read-only, by a setting.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::by_sql(
        lab,
        &format!("ALTER DATABASE {DATABASE} SET default_transaction_read_only = on"),
        format!("ALTER DATABASE {DATABASE} RESET default_transaction_read_only"),
    )
}
