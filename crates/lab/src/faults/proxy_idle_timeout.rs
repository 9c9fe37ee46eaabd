//! The proxy closes what idles for a second, and the API's pool does not look before it hands out a connection.

use crate::haproxy::Tuning;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

const SHORT: Tuning = Tuning { global: "", defaults: "timeout client 1s\n  timeout server 1s", server: "" };

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, api) = (Arc::clone(lab.proxy()?), Arc::clone(lab.api()?));
    proxy.restart(SHORT)?;
    lab.restart_api();
    api.stand_in()?.test_on_checkout(false);
    api.stand_in()?.use_once()?;
    proxy.wait_sessions(0)?;
    Ok(Guard::undone_by(move || {
        api.stand_in()?.test_on_checkout(true);
        proxy.restart(Tuning::CALM)
    }))
}
