//! A firewall swallows every packet to the database's port. Needs root.

use crate::process::{self, is_root};
use crate::{Guard, Lab, LabError, programs};
use std::process::Command;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    if !is_root() {
        return Err(LabError::NeedsRoot("only root may set a firewall's rules"));
    }
    let iptables = programs::find("iptables")?;
    let port = lab.front_port().to_string();
    let rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", &port, "-j", "DROP"].map(str::to_owned);
    lab.janitor().note(&format!("'{}' -w -D {}", iptables.display(), rule.join(" ")))?;
    process::run("iptables", Command::new(&iptables).args(["-w", "-I"]).args(&rule))?;
    lab.restart_api();
    Ok(Guard::undone_by(move || {
        process::run("iptables", Command::new(&iptables).args(["-w", "-D"]).args(&rule)).map(drop)
    }))
}
