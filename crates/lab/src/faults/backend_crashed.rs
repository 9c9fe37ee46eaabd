//! A backend was killed with SIGKILL. The server is well again; the API's pool holds on to the sessions that ended.

use crate::process;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, api) = (Arc::clone(lab.postgres()), Arc::clone(lab.api()?));
    let victim = Sessions::open(&postgres, &Login::of_api(&postgres).named("victim"), 1)?;
    let pid = postgres.value("select pid::text from pg_stat_activity where application_name = 'victim'")?;
    // A session in its pool, for the crash to end.
    let _refused = api.is_ready();
    api.stand_in()?.trust_pool(true);
    process::send(pid.parse().unwrap_or_default(), Signal::KILL)?;
    postgres.wait_recovered()?;
    let place = lab.place();
    let guard = Guard::undone_by(move || {
        api.stand_in()?.trust_pool(false);
        api.redeploy(place)
    });
    Ok(guard.and_holding(victim))
}
