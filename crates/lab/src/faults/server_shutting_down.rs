//! A smart shutdown waits for a client that does not go; nobody new is let in.

use crate::postgres::Stop;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use pgmedic_model::pooler_words::Words;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let held = Sessions::open(&postgres, &Login::of_api(&postgres).named("night-report"), 1)?;
    postgres.stop(Stop::Smart)?;
    super::wait_refusal(&postgres, Words::ShuttingDown)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || {
        postgres.wait_stopped()?;
        postgres.up()
    })
    .and_holding(held))
}
