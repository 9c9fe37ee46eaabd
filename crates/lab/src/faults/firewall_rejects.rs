//! A firewall answers with a reset in the server's place. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let port = lab.front_port();
    let rule = format!("INPUT -i lo -p tcp --dport {port} -j REJECT --reject-with tcp-reset");
    let guard = firewall::rule(lab, &rule)?;
    lab.restart_api();
    Ok(guard)
}
