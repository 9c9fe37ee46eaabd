//! The API cannot reach its database, and anybody else can: its own settings point elsewhere.

use crate::api::Place;
use crate::{Guard, Lab, LabError, ports};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (api, place) = (Arc::clone(lab.api()?), lab.place());
    api.redeploy(Place::At((Ipv4Addr::LOCALHOST, ports::free()?).into()));
    Ok(Guard::undone_by(move || {
        api.redeploy(place);
        Ok(())
    }))
}
