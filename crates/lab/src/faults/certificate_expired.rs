//! The server's certificate ran out yesterday.

use crate::certificates::Validity;
use crate::dns::NAME;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, authority) = (Arc::clone(lab.postgres()), Arc::clone(lab.authority()?));
    postgres.show_certificate(&authority, NAME, Validity::Expired)?;
    postgres.reload()?;
    Ok(Guard::undone_by(move || postgres.offer_tls(&authority)))
}
