//! The server starts and does not get on: its recovery waits for a file of the archive.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use pgmedic_model::pooler_words::Words;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.stop(Stop::Fast)?;
    super::hold_recovery(&postgres)?;
    postgres.write("recovery.signal", "")?;
    postgres.launch()?;
    super::wait_refusal(&postgres, Words::StartingUp)?;
    Ok(Guard::undone_by(move || super::let_recovery_go(&postgres)))
}
