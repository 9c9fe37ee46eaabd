//! A firewall swallows every packet to the database's port. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let guard = firewall::rule(lab, &format!("INPUT -i lo -p tcp --dport {} -j DROP", lab.front_port()))?;
    lab.restart_api();
    Ok(guard)
}
