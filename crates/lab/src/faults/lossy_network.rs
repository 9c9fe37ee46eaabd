//! Every second packet to the server that carries on a connection is lost. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it. A SYN passes: a lost one costs a second each, which a walk in a hurry does not have.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let port = lab.front_port();
    let every_second = "-m statistic --mode nth --every 2 --packet 1";
    firewall::rule(lab, &format!("INPUT -i lo -p tcp --dport {port} ! --syn {every_second} -j DROP"))
}
