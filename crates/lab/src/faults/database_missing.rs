//! The database does not exist on this server.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    // A database is renamed only while nobody is in it.
    lab.postgres().sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
    ))?;
    lab.postgres().wait_true(
        "an empty database",
        &format!("select count(*) = 0 from pg_stat_activity where datname = '{DATABASE}'"),
    )?;
    super::by_sql(
        lab,
        &format!("ALTER DATABASE {DATABASE} RENAME TO elsewhere"),
        format!("ALTER DATABASE elsewhere RENAME TO {DATABASE}"),
    )
}
