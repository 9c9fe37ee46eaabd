//! Another cluster answers in the server's place: the same port, role, password and database, and none of the data.

use crate::postgres::{Postgres, Stop};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let server = Arc::clone(lab.postgres());
    server.stop(Stop::Fast)?;
    let another = Postgres::in_place_of(&server, lab.folder(), lab.runtime().handle().clone());
    let back = Guard::undone_by(move || server.up());
    lab.restart_api();
    Ok(back.and_holding(another?))
}
