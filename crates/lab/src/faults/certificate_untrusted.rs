//! The server's certificate was issued anew, by an authority that the client does not know.

use crate::certificates::{Authority, Validity};
use crate::dns::NAME;
use crate::error::Tried as _;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, authority) = (Arc::clone(lab.postgres()), Arc::clone(lab.authority()?));
    let elsewhere = lab.folder().join("another-authority");
    std::fs::create_dir(&elsewhere).tried(|| elsewhere.display().to_string())?;
    postgres.show_certificate(&Authority::new(&elsewhere)?, NAME, Validity::InDate)?;
    postgres.reload()?;
    Ok(Guard::undone_by(move || postgres.offer_tls(&authority)))
}
