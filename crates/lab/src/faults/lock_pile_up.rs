//! Twenty sessions queue behind one that holds ACCESS EXCLUSIVE and idles in its transaction.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::time::Duration;

/// Injects it; every session has waited for longer than `age`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let api = Login::of_api(lab.postgres());
    let holder = Sessions::open(lab.postgres(), &api.clone().named("renderflow-console"), 1)?;
    holder.run("begin; lock table jobs in access exclusive mode")?;
    let waiting = Sessions::open(lab.postgres(), &api.named("renderflow-worker"), 20)?;
    waiting.begin("select count(*) from jobs");
    waiting.wait_state("wait_event_type = 'Lock'")?;
    waiting.wait_age(age)?;
    Ok(Guard::holding(holder).and_holding(waiting))
}
