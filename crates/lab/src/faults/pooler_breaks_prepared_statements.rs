//! The API prepares a statement once, and the pooler gives its session to somebody else.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (api, pooler) = (Arc::clone(lab.api()?), lab.pooler()?);
    // From 1.21 on PgBouncer can carry statements over; before, it knows no such setting and loses them anyway.
    let carries = pooler.console("SET max_prepared_statements = 0").is_ok();
    api.stand_in()?.prepare_statements(true);
    api.restart();
    // The server connection that was used last is the first to be used again, so it is the one with the statement.
    api.stand_in()?.use_once()?;
    let login = Login::of_api(lab.postgres()).through(pooler.port()).named("renderflow-report");
    let other = Sessions::open(lab.postgres(), &login, 1)?;
    other.run("begin")?;
    let pooler = Arc::clone(pooler);
    Ok(Guard::holding(other).and_undone_by(move || {
        api.stand_in()?.prepare_statements(false);
        api.restart();
        if carries { pooler.console("SET max_prepared_statements = 200").map(drop) } else { Ok(()) }
    }))
}
