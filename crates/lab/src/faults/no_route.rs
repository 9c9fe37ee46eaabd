//! The route to the database's address says that it cannot be reached. Needs root.

use crate::process::{self, is_root};
use crate::{Guard, Lab, LabError, programs};
use std::process::Command;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    if !is_root() {
        return Err(LabError::NeedsRoot("only root may set a route"));
    }
    let ip = programs::find("ip")?;
    // The table `local` is looked into first, and has 127.0.0.0/8; the longer prefix wins.
    let route = format!("unreachable {}/32 table local", lab.postgres().own_address());
    lab.janitor().note(&format!("'{}' route del {route}", ip.display()))?;
    process::run("ip route", Command::new(&ip).args(["route", "add"]).args(route.split(' ')))?;
    Ok(Guard::undone_by(move || {
        process::run("ip route", Command::new(&ip).args(["route", "del"]).args(route.split(' '))).map(drop)
    }))
}
