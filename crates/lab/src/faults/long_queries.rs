//! Queries run and run.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::time::Duration;

/// Injects it; each query has run for longer than `age`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let held = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()).named("renderflow-report"), 3)?;
    held.begin("select pg_sleep(600)");
    held.wait_state("state = 'active'")?;
    held.wait_age(age)?;
    Ok(Guard::holding(held))
}
