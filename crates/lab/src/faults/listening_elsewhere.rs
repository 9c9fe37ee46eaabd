//! The server listens on loopback's first address alone, and not on the one that its clients know.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.write("fault.conf", "listen_addresses = '127.0.0.1'\n")?;
    postgres.stop(Stop::Fast)?;
    postgres.up()?;
    Ok(Guard::undone_by(move || {
        postgres.remove("fault.conf")?;
        postgres.stop(Stop::Fast)?;
        postgres.up()
    }))
}
