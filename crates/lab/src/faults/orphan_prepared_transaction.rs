//! A prepared transaction was left behind with its locks; sessions wait for it, and no session holds them.

use crate::postgres::DATABASE;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;
use std::time::Duration;

/// Injects it; every session has waited for longer than `age`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let api = Login::of_api(&postgres);
    let coordinator = Sessions::open(&postgres, &api.clone().named("coordinator"), 1)?;
    coordinator.run("begin; lock table jobs in access exclusive mode; prepare transaction 'order-4711'")?;
    drop(coordinator);
    let waiting = Sessions::open(&postgres, &api.named("renderflow-worker"), 5)?;
    waiting.begin("select count(*) from jobs");
    waiting.wait_state("wait_event_type = 'Lock'")?;
    waiting.wait_age(age)?;
    let undo = move || postgres.sql_in(DATABASE, "rollback prepared 'order-4711'").map(drop);
    Ok(Guard::undone_by(undo).and_holding(waiting))
}
