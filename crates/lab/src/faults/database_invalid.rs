//! The database's DROP was interrupted: it is marked invalid (since the minor releases of August 2023) and takes no
//! connections.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let mark = |limit| format!("UPDATE pg_database SET datconnlimit = {limit} WHERE datname = '{DATABASE}'");
    super::by_sql(lab, &mark(-2), mark(-1))
}
