//! The server was told to speak old versions of TLS only.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, authority) = (Arc::clone(lab.postgres()), Arc::clone(lab.authority()?));
    let old = "ssl = on\nssl_min_protocol_version = 'TLSv1'\nssl_max_protocol_version = 'TLSv1.1'\n";
    postgres.write("tls.conf", old)?;
    postgres.reload()?;
    Ok(Guard::undone_by(move || postgres.offer_tls(&authority)))
}
