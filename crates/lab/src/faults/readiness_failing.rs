//! The API cannot reach its database any more, and anybody else can: the way of its own that it goes (a tunnel, a sidecar) is
//! gone.

use crate::api::Place;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;
use std::time::Duration;

/// How soon it notices.
const SOON: Duration = Duration::from_secs(5);

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (api, place) = (Arc::clone(lab.api()?), lab.place());
    let way = api.way_to(lab.front_port())?;
    let guard = {
        let api = Arc::clone(&api);
        Guard::undone_by(move || api.redeploy(place))
    };
    api.move_to(Place::At(way.address()))?;
    way.cut(lab.runtime().handle());
    // What it kept was cut with the way; it has noticed once it says so.
    crate::wait::until_true("an API that is not ready", SOON, || api.is_ready().is_err())?;
    Ok(guard)
}
