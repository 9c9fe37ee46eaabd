//! The proxy is reloaded; its old process has a moment to finish, then cuts what the API's pool still keeps.

use crate::haproxy::Tuning;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

const DRAINED: Tuning = Tuning { global: "hard-stop-after 200ms", ..Tuning::CALM };

/// Connections that the API's pool has of the old process: one request after the other meets them.
const POOLED: usize = 5;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, api) = (Arc::clone(lab.proxy()?), Arc::clone(lab.api()?));
    proxy.restart(DRAINED)?;
    lab.restart_api();
    api.stand_in()?.test_on_checkout(false);
    api.stand_in()?.warm(POOLED)?;
    proxy.reload(DRAINED)?;
    Ok(Guard::undone_by(move || {
        api.stand_in()?.test_on_checkout(true);
        proxy.restart(Tuning::CALM)
    }))
}
