//! The proxy has as many clients as its `maxconn` allows; it leaves the next ones unaccepted.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let (proxy, postgres) = (lab.proxy()?, lab.postgres());
    let login = Login::of_api(postgres).through(proxy.port());
    let mut guard = Guard::default();
    while proxy.info("CurrConns")? < proxy.info("Maxconn")? {
        guard = guard.and_holding(Sessions::open(postgres, &login, 1)?);
    }
    Ok(guard)
}
