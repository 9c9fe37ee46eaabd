//! The proxy's server is down, as the proxy sees it: it looks for it where nobody listens.

use crate::{Guard, Lab, LabError, ports};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (proxy, primary) = (Arc::clone(lab.proxy()?), lab.behind_proxy());
    proxy.point_at(ports::free()?)?;
    proxy.wait_server("DOWN")?;
    lab.restart_api();
    Ok(Guard::undone_by(move || {
        proxy.point_at(primary)?;
        proxy.wait_server("UP")
    }))
}
