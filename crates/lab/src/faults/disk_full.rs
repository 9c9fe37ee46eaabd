//! A table has grown until the volume of the data directory was full: what needs a new block fails with 53100.
//! Needs root.

use crate::postgres::{DATABASE, Postgres, ROLE};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.volume()?;
    let postgres = Arc::clone(lab.postgres());
    let table = format!("create unlogged table audit_log (line text); alter table audit_log owner to {ROLE}");
    postgres.sql_in(DATABASE, &table)?;
    let undone = Arc::clone(&postgres);
    let guard = Guard::undone_by(move || undone.sql_in(DATABASE, "drop table audit_log").map(drop));
    // First by the megabyte, then by the row, until not one block is left.
    for rows in [1000, 1] {
        grow_until_full(&postgres, rows)?;
    }
    Ok(guard)
}

/// Adds rows of a thousand bytes, so many in each transaction, until the server says that the disk is full.
fn grow_until_full(postgres: &Postgres, rows: u32) -> Result<(), LabError> {
    let insert = format!("insert into audit_log select repeat('x', 1000) from generate_series(1, {rows})");
    match postgres.sql_in(DATABASE, &format!("do $$ begin loop {insert}; commit; end loop; end $$")) {
        Err(LabError::Sql { code: Some(code), .. }) if code == "53100" => Ok(()),
        other => other.map(drop),
    }
}
