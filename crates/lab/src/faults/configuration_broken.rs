//! A line of `pg_hba.conf` was changed and cannot be read; the reload kept the old rules and said so in the log alone.

use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let broken = "local all all trust\nhots all all 10.0.0.0/8 scram-sha-256\n";
    postgres.write("pg_hba.conf", broken)?;
    postgres.signal(Signal::HUP)?;
    Ok(Guard::undone_by(move || postgres.reset_hba()))
}
