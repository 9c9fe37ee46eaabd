//! The database's name exists and has no address of either family: NODATA.

use crate::dns::Zone;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::serve_zone(lab, &Zone::NoAddress)
}
