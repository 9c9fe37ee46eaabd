//! The server's certificate is for another name.

use crate::certificates::Validity;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, authority) = (Arc::clone(lab.postgres()), Arc::clone(lab.authority()?));
    postgres.show_certificate(&authority, "another-db.internal", Validity::InDate)?;
    postgres.reload()?;
    Ok(Guard::undone_by(move || postgres.offer_tls(&authority)))
}
