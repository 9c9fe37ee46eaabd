//! The proxy leads to a standby that lets no reader in: `hot_standby` is off.

use super::routed_to_standby::{lead_to, standby};
use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use pgmedic_model::pooler_words::Words;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let standby = standby(lab)?;
    standby.stop(Stop::Fast)?;
    standby.write("fault.conf", "hot_standby = off\n")?;
    standby.launch()?;
    super::wait_refusal(&standby, Words::NotAcceptingConnections)?;
    lead_to(lab, standby)
}
