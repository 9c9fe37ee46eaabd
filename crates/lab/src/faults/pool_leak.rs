//! Requests of the API take every connection of its pool and never give them back; others wait for one.

use crate::{Guard, Lab, LabError};
use std::time::Duration;

/// Requests that wait at a time: as many as the pool has connections, and some.
pub(super) const WAITING: usize = 12;

/// Injects it, `age` ago.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let api = lab.api()?;
    let out = api.leak()?;
    let old = format!(
        "select bool_and(state_change < now() - interval '{} ms') from pg_stat_activity \
         where application_name = 'renderflow-api'",
        age.as_millis()
    );
    lab.postgres().wait_true("connections that have been out for long", &old)?;
    Ok(Guard::holding(api.keep_asking(WAITING)?).and_holding(out))
}
