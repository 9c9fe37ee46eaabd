//! A replication slot that nobody reads keeps WAL from removal, far more than `max_wal_size`.

use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.sql("select pg_create_physical_replication_slot('gone_replica', true)")?;
    let guard_of = Arc::clone(&postgres);
    let guard = Guard::undone_by(move || {
        guard_of.sql("select pg_drop_replication_slot('gone_replica')")?;
        guard_of.sql("checkpoint").map(drop)
    });
    let writes = "select count(pg_logical_emit_message(false, 'lab', repeat('x', 1000000))) \
                  from generate_series(1, 128)";
    postgres.sql(writes)?;
    postgres.sql("checkpoint")?;
    Ok(guard)
}
