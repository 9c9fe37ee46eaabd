//! Nine of ten ordinary slots are taken.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let slots = "select (current_setting('max_connections')::int \
                 - current_setting('superuser_reserved_connections')::int)::text";
    let ordinary: usize = lab.postgres().value(slots)?.parse().unwrap_or_default();
    let held = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()), ordinary * 9 / 10)?;
    lab.api_owns(&held);
    Ok(Guard::holding(held))
}
