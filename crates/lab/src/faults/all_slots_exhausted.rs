//! Every slot is taken, those reserved for superusers as well.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let api = Login::of_api(lab.postgres());
    let ordinary = Sessions::fill(lab.postgres(), &api)?;
    lab.api_owns(&ordinary);
    let reserved = Sessions::fill(lab.postgres(), &api.by("rescue").named("admin-tool"))?;
    Ok(Guard::holding(reserved).and_holding(ordinary))
}
