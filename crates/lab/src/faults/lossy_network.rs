//! Every second packet to the server that carries on a connection is lost. Needs root.

use crate::{Guard, Lab, LabError, firewall};

/// Injects it. A SYN passes: a lost one costs a second each, which a walk in a hurry does not have.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let port = lab.front_port();
    // Counted on the way from here alone: bystanders have an address of their own.
    let every_second = "-m statistic --mode nth --every 2 --packet 1";
    firewall::rule(
        lab,
        &format!("INPUT -i lo -p tcp -s 127.0.0.1 --dport {port} ! --syn {every_second} -j DROP"),
    )
}
