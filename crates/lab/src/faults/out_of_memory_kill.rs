//! The server's control group is out of memory: the kernel kills the backend that took it, the server ended every session
//! and recovers, and does not get on with it. Needs root.

use crate::cgroup::{Cgroup, Limit};
use crate::postgres::Stop;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use pgmedic_model::pooler_words::Words;
use std::sync::Arc;

/// More than the lab's server needs, far less than the query wants.
const LIMIT: Limit = Limit::MemoryMb(160);

/// A query that wants half a gigabyte.
const GREEDY: &str = "select length(string_agg(repeat('x', 1000000), '')) from generate_series(1, 500)";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let group = Cgroup::limited(LIMIT, lab.janitor())?;
    let postgres = Arc::clone(lab.postgres());
    // Before Postgres 14 only a start takes up a restore_command.
    postgres.stop(Stop::Fast)?;
    super::hold_recovery(&postgres)?;
    postgres.up()?;
    group.add(postgres.pid()?)?;
    lab.restart_api();
    let report = Sessions::open(&postgres, &Login::of_api(&postgres).named("renderflow-report"), 1)?;
    postgres.write("recovery.signal", "")?;
    report.begin(GREEDY);
    super::wait_refusal(&postgres, Words::InRecovery)?;
    let mend = move || {
        drop(group);
        super::let_recovery_go(&postgres)
    };
    Ok(Guard::undone_by(mend).and_holding(report))
}
