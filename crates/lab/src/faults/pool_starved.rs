//! Every connection of the API's pool is at a slow statement, and requests wait for one.

use super::pool_leak::WAITING;
use crate::postgres::DATABASE;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;
use std::time::Duration;

/// Which sessions are at it.
const SLOW: &str = "from pg_stat_activity where wait_event = 'PgSleep' and state = 'active'";
/// Somebody's trigger, on which every insert of the API's waits.
const TRIGGER: &str = "create function renderflow_audit() returns trigger language plpgsql as \
    $$ begin perform pg_sleep(600); return new; end $$; \
    create trigger audit before insert on render_jobs execute function renderflow_audit()";
/// It is gone, if it was there.
const NO_TRIGGER: &str = "drop function if exists renderflow_audit() cascade";

/// Injects it, `age` ago.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab, age: Duration) -> Result<Guard, LabError> {
    let (api, postgres) = (lab.api()?, Arc::clone(lab.postgres()));
    let out = api.work(|| postgres.sql_in(DATABASE, TRIGGER).map(drop))?;
    let slow = format!(
        "select count(*) = {} {SLOW} and query_start < now() - interval '{} ms'",
        crate::api::POOL_MAX,
        age.as_millis()
    );
    postgres.wait_true("slow statements", &slow)?;
    let asking = api.keep_asking(WAITING)?;
    Ok(Guard::holding(asking).and_holding(out).and_undone_by(move || {
        postgres.sql(&format!("select pg_terminate_backend(pid) {SLOW}"))?;
        postgres.sql_in(DATABASE, NO_TRIGGER).map(drop)
    }))
}
