//! A backend that holds a lock is stopped (SIGSTOP): its session was told to end and is still there, and others wait for it.

use crate::process;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;

/// Injects it; the others have waited for longer than `age`.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let api = Login::of_api(&postgres);
    let holder = Sessions::open(&postgres, &api.clone().named("migrate"), 1)?;
    holder.run("begin; lock table jobs in access exclusive mode")?;
    let of_holder = "from pg_stat_activity where application_name = 'migrate'";
    let pid = postgres.value(&format!("select pid::text {of_holder}"))?.parse().unwrap_or_default();
    process::send(pid, Signal::STOP)?;
    let waiting = Sessions::open(&postgres, &api.named("renderflow-worker"), 6)?;
    waiting.begin("select count(*) from jobs");
    waiting.wait_state("wait_event_type = 'Lock'")?;
    waiting.wait_age(age)?;
    postgres.value(&format!("select pg_terminate_backend(pid) {of_holder}"))?;
    // It must run before it can end.
    Ok(Guard::undone_by(move || {
        process::send(pid, Signal::CONT)?;
        drop(waiting);
        drop(holder);
        Ok(())
    }))
}
