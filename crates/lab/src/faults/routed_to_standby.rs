//! The proxy leads to a hot standby: what only reads works, what writes does not.

use crate::postgres::Postgres;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, primary) = (Arc::clone(lab.proxy()?), lab.postgres().port());
    let standby = Postgres::standby_of(lab.postgres(), lab.folder(), lab.runtime().handle().clone())?;
    proxy.point_at(standby.port())?;
    lab.restart_api();
    Ok(Guard::undone_by(move || proxy.point_at(primary)).and_undone_by(move || {
        drop(standby);
        Ok(())
    }))
}
