//! Packets of 1400 bytes and more from the server vanish, as on a tunnel whose MTU nobody knows. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let port = lab.front_port();
    firewall::rule(lab, &format!("INPUT -i lo -p tcp --sport {port} -m length --length 1400: -j DROP"))
}
