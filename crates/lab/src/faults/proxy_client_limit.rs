//! The proxy has as many clients as its `maxconn` allows; it leaves the next ones unaccepted.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let proxy = lab.proxy()?;
    let room = proxy.info("Maxconn")?.saturating_sub(proxy.info("CurrConns")?);
    let login = Login::of_api(lab.postgres()).through(proxy.port());
    let held = Sessions::open(lab.postgres(), &login, usize::try_from(room).unwrap_or(usize::MAX))?;
    lab.restart_api();
    Ok(Guard::holding(held))
}
