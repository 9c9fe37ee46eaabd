//! The API's sockets are gone, and its pool goes on handing them out; a new one would come about.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// How many requests have met the dead socket by the time somebody looks.
const REQUESTS: usize = 6;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let api = Arc::clone(lab.api()?);
    let stand_in = api.stand_in()?;
    stand_in.use_once()?;
    stand_in.trust_pool(true);
    stand_in.lose_sockets();
    // A pool that let go of what is dead would be well after the first of them.
    for _ in 0..REQUESTS {
        let _refused = api.is_ready();
    }
    Ok(Guard::undone_by(move || {
        api.stand_in()?.trust_pool(false);
        api.restart();
        Ok(())
    }))
}
