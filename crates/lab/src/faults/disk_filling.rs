//! The data directory's volume is filling: one part in ten is left. Needs root.

use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let volume = lab.volume()?;
    Ok(Guard::holding(volume.fill(volume.total()? / 10)?))
}
