//! The connections that the API's pool keeps are ended behind its back: the next use of each gets a reset. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let flows = super::pooled_flows(lab)?;
    firewall::rule(lab, &format!("INPUT -i lo -p tcp {flows} -j REJECT --reject-with tcp-reset"))
}
