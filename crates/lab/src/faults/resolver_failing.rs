//! The resolver answers, and what it answers is that it cannot: REFUSED.

use crate::dns::Zone;
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::serve_zone(lab, &Zone::NobodyToAsk)
}
