//! The pooler looks for its server where nobody listens; the server itself is well.

use crate::{Guard, Lab, LabError, ports};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let here = format!("host=127.0.0.1 port={}", lab.postgres().port());
    let nowhere = format!("host=127.0.0.1 port={}", ports::free()?);
    let guard = lab.pooler()?.reconfigure(&here, &nowhere)?;
    lab.restart_api();
    Ok(guard)
}
