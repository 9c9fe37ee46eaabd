//! A firewall has forgotten the connection that the API's pool keeps, and swallows what comes on it. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let flows = super::pooled_flows(lab)?;
    firewall::rule(lab, &format!("INPUT -i lo -p tcp {flows} -j DROP"))
}
