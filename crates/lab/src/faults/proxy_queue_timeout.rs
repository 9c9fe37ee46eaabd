//! The proxy's server has as many sessions as it may, and the proxy gives newcomers up after half a second.

use crate::haproxy::Tuning;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

const NARROW: Tuning = Tuning {
    global: "",
    defaults: "timeout client 1h\n  timeout server 1h\n  timeout queue 500ms",
    server: "maxconn 2",
};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, postgres) = (Arc::clone(lab.proxy()?), lab.postgres());
    lab.restart_api();
    proxy.restart(NARROW)?;
    let held = Sessions::open(postgres, &Login::of_api(postgres).through(proxy.port()), 2)?;
    Ok(Guard::holding(held).and_undone_by(move || proxy.restart(Tuning::CALM)))
}
