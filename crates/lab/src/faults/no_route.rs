//! The route to the database's address says that it cannot be reached. Needs root.

use crate::api::Place;
use crate::process::{self, is_root};
use crate::{Guard, Lab, LabError, programs};
use std::process::Command;
use std::sync::Arc;

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
    let back = Guard::undone_by(move || {
        process::run("ip route", Command::new(&ip).args(["route", "del"]).args(route.split(' '))).map(drop)
    });
    let (Ok(api), place) = (lab.api(), lab.place()) else { return Ok(back) };
    // The API goes by the address that is cut off, as its service does.
    api.redeploy(Place::At((lab.postgres().own_address(), lab.front_port()).into()));
    let api = Arc::clone(api);
    Ok(back.and_undone_by(move || {
        api.redeploy(place);
        Ok(())
    }))
}
