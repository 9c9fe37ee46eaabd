//! The server has TLS switched off; the client insists on it.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, authority) = (Arc::clone(lab.postgres()), Arc::clone(lab.authority()?));
    postgres.write("tls.conf", "ssl = off\n")?;
    postgres.reload()?;
    Ok(Guard::undone_by(move || postgres.offer_tls(&authority)))
}
