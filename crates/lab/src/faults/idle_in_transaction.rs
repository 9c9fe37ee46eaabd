//! A session began a transaction, wrote, and forgot about it.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::time::Duration;

/// Injects it; the session idles in its transaction for longer than `age`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let held = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()).named("renderflow-worker"), 1)?;
    held.run("begin; insert into jobs (payload) values ('half done')")?;
    held.wait_age(age)?;
    Ok(Guard::holding(held))
}
