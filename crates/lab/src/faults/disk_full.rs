//! The data directory's volume is full: what needs a new block fails with 53100. Needs root.

use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError, wait};
use std::time::Duration;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let ballast = lab.volume()?.fill(0)?;
    let grow = "insert into jobs (payload) select repeat('x', 1000) from generate_series(1, 1000)";
    wait::until("a server that says it is full", Duration::from_secs(5), || {
        Ok(match lab.postgres().sql_in(DATABASE, grow) {
            Err(LabError::Sql { said, .. }) if said.contains("No space left on device") => Ok(()),
            Err(other) => Err(other.to_string()),
            Ok(_) => Err("it still had room".to_owned()),
        })
    })?;
    Ok(Guard::holding(ballast))
}
