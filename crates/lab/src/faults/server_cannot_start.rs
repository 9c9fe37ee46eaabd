//! A library was put into `shared_preload_libraries` that is not there; the next start is given up.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.write("fault.conf", "shared_preload_libraries = 'nolib'\n")?;
    postgres.stop(Stop::Fast)?;
    postgres.launch()?;
    postgres.wait_stopped()?;
    lab.restart_api();
    Ok(Guard::undone_by(move || {
        postgres.remove("fault.conf")?;
        postgres.up()
    }))
}
