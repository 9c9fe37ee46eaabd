//! The server logs so much that its log files fill the data directory's volume. Needs root.

use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Three megabytes of log.
const CHATTER: &str = "do $$ begin for n in 1..30 loop raise log '%', repeat('x', 100000); end loop; end $$";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let volume = lab.volume()?;
    let postgres = Arc::clone(lab.postgres());
    let guard_of = Arc::clone(&postgres);
    let guard = Guard::undone_by(move || {
        guard_of.stop(Stop::Fast)?;
        guard_of.remove("fault.conf")?;
        let folder = guard_of.data().join("log");
        std::fs::remove_dir_all(&folder)
            .map_err(|source| LabError::Io { what: folder.display().to_string(), source })?;
        guard_of.up()
    });
    postgres.stop(Stop::Fast)?;
    postgres.write("fault.conf", "logging_collector = on\nlog_directory = 'log'\n")?;
    postgres.up()?;
    let leave = volume.total()? / 10;
    while volume.available()? > leave {
        postgres.sql(CHATTER)?;
    }
    lab.restart_api();
    Ok(guard)
}
