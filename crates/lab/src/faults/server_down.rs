//! The postmaster was killed: its backends end, its lock file stays behind.

use crate::{Guard, Lab, LabError, wait};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;

/// How long the orphaned backends may take to notice.
const PATIENCE: Duration = Duration::from_secs(10);

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.signal(Signal::KILL)?;
    postgres.wait_stopped()?;
    lab.restart_api();
    // A new postmaster refuses the directory while an orphaned backend is attached to the old one's shared memory.
    Ok(Guard::undone_by(move || {
        wait::until("a Postgres started over a dead one", PATIENCE, || match postgres.up() {
            Ok(()) => Ok(Ok(())),
            Err(ended @ LabError::Ended { .. }) => Ok(Err(ended)),
            Err(other) => Err(other),
        })
    }))
}
