//! The connection that the API's pool keeps is ended behind its back: the next use of it gets a reset. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let flow = super::pooled_flow(lab)?;
    firewall::rule(lab, &format!("INPUT -i lo -p tcp {flow} -j REJECT --reject-with tcp-reset"))
}
