//! Every connection of the API's pool is at a slow statement, and requests wait for one.

use super::pool_leak::WAITING;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;
use std::time::Duration;

/// Which sessions are at it.
const SLOW: &str = "from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'";

/// Injects it, `age` ago.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let (api, postgres) = (lab.api()?, Arc::clone(lab.postgres()));
    let out = api.check_out_all()?;
    out.begin("select pg_sleep(600)");
    let slow = format!(
        "select count(*) = {} {SLOW} and query_start < now() - interval '{} ms'",
        crate::api::POOL_MAX,
        age.as_millis()
    );
    postgres.wait_true("slow statements", &slow)?;
    let asking = api.keep_asking(WAITING)?;
    Ok(Guard::holding(asking)
        .and_holding(out)
        .and_undone_by(move || postgres.sql(&format!("select pg_terminate_backend(pid) {SLOW}")).map(drop)))
}
