//! `archive_command` fails, again and again: WAL is kept until it succeeds.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// `archive_mode` is taken up by a start, `archive_command` by a reload.
fn archive_by(command: &str) -> String {
    format!("archive_mode = on\narchive_command = '{command}'\n")
}

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.write("fault.conf", &archive_by("false"))?;
    postgres.stop(Stop::Fast)?;
    postgres.up()?;
    lab.restart_api();
    postgres.sql("select pg_logical_emit_message(false, 'lab', 'x'); select pg_switch_wal()")?;
    let failing = "select failed_count >= 3 from pg_stat_archiver";
    postgres.wait_true("an archiver that failed three times", failing)?;
    Ok(Guard::undone_by(move || {
        postgres.write("fault.conf", &archive_by("true"))?;
        postgres.reload()?;
        let caught_up = "select coalesce(last_archived_time > last_failed_time, false) from pg_stat_archiver";
        postgres.wait_true("an archiver that succeeds", caught_up)?;
        postgres.remove("fault.conf")?;
        postgres.stop(Stop::Fast)?;
        postgres.up()
    }))
}
