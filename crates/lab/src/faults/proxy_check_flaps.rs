//! The proxy's check fails and passes in turn, and each time the proxy cuts every session.

use crate::haproxy::Tuning;
use crate::{Guard, Lab, LabError, ports};
use std::sync::Arc;

const CUTTING: Tuning = Tuning { server: "on-marked-down shutdown-sessions", ..Tuning::CALM };

/// Injects it: three times down within seconds, and down at the end.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, primary) = (Arc::clone(lab.proxy()?), lab.postgres().port());
    proxy.restart(CUTTING)?;
    let nowhere = ports::free()?;
    for _ in 0..2 {
        proxy.point_at(nowhere)?;
        proxy.wait_server("DOWN")?;
        proxy.point_at(primary)?;
        proxy.wait_server("UP")?;
    }
    proxy.point_at(nowhere)?;
    proxy.wait_server("DOWN")?;
    lab.restart_api();
    Ok(Guard::undone_by(move || proxy.restart(Tuning::CALM)))
}
