//! The proxy leads to a standby on which a long transaction needs row versions that the primary has removed: replay waits.

use super::routed_to_standby::{lead_to, standby};
use crate::postgres::DATABASE;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use rustix::process::Signal;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let primary = Arc::clone(lab.postgres());
    let standby = Arc::new(standby(lab)?);
    standby.write("fault.conf", "max_standby_streaming_delay = -1\n")?;
    standby.signal(Signal::HUP)?;
    standby
        .wait_true("a standby that waits", "select current_setting('max_standby_streaming_delay') = '-1'")?;
    primary.sql_in(DATABASE, "insert into jobs (payload) select 'x' from generate_series(1, 1000)")?;
    let report = Sessions::open(&standby, &Login::of_api(&standby).named("renderflow-report"), 1)?;
    report.run("begin isolation level repeatable read; select count(*) from jobs")?;
    primary.sql_in(DATABASE, "delete from jobs")?;
    primary.sql_in(DATABASE, "vacuum jobs")?;
    let conflict = "select count(*) > 0 from pg_stat_activity where backend_type = 'startup' \
                    and (wait_event like 'RecoveryConflict%' or wait_event_type = 'Lock')";
    standby.wait_true("replay that waits for a query", conflict)?;
    Ok(lead_to(lab, standby)?.and_holding(report))
}
