//! The proxy leads to a hot standby: what only reads works, what writes does not.

use crate::postgres::Postgres;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lead_to(lab, standby(lab)?)
}

/// A hot standby of the lab's server.
pub(super) fn standby(lab: &Lab) -> Result<Postgres, LabError> {
    Postgres::standby_of(lab.postgres(), lab.folder(), lab.runtime().handle().clone())
}

/// Has the proxy lead to a standby, until the guard leads it back and ends the standby.
pub(super) fn lead_to(lab: &Lab, standby: impl Into<Arc<Postgres>>) -> Result<Guard, LabError> {
    let standby: Arc<Postgres> = standby.into();
    let (proxy, primary) = (Arc::clone(lab.proxy()?), lab.behind_proxy());
    proxy.point_at(standby.port())?;
    lab.restart_api();
    Ok(Guard::undone_by(move || {
        proxy.point_at(primary)?;
        drop(standby);
        proxy.wait_server("UP")
    }))
}
