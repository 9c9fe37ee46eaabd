//! The server lets nobody in over TCP without TLS (`hostssl` only), and the client comes without.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.set_hba("hostssl all all 127.0.0.0/8 scram-sha-256\n")?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.reset_hba()))
}
