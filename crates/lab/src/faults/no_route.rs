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
    // The API goes by the address that will be cut off, as its service does.
    let moved = match (lab.api(), lab.place()) {
        (Ok(api), place) => {
            api.move_to(Place::At((lab.postgres().own_address(), lab.front_port()).into()))?;
            api.restart();
            let api = Arc::clone(api);
            Guard::undone_by(move || api.redeploy(place))
        }
        (Err(_), _) => Guard::default(),
    };
    // The table `local` is looked into first, and has 127.0.0.0/8; the longer prefix wins.
    let route = format!("unreachable {}/32 table local", lab.postgres().own_address());
    lab.janitor().note(&format!("'{}' route del {route}", ip.display()))?;
    process::run("ip route", Command::new(&ip).args(["route", "add"]).args(route.split(' ')))?;
    Ok(moved.and_undone_by(move || {
        process::run("ip route", Command::new(&ip).args(["route", "del"]).args(route.split(' '))).map(drop)
    }))
}
