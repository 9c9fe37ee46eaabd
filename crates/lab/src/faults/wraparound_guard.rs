//! Transaction ids run out: the oldest table of the database cannot be vacuumed, because its file is damaged (here:
//! moved away), and its age is past the point where the server assigns no more ids.
//!
//! The ages are written into the catalogs, and a VACUUM elsewhere has the server take them up. The guard puts the file
//! back and vacuums the table, which is what mends it in earnest.

use crate::error::Tried as _;
use crate::postgres::{DATABASE, Postgres};
use crate::{Guard, Lab, LabError};
use std::path::PathBuf;
use std::sync::Arc;

/// Past the stop of every version (1 million ids before the end until 13, 3 million since), before the end itself.
const AGE: u32 = 2_146_600_000;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let (file, away) = damage(&postgres)?;
    let oldest = format!("((txid_current() + 4294967296 - {AGE}) % 4294967296)::text::xid");
    let age = format!(
        "update pg_class set relfrozenxid = {oldest} where relname = 'audit_log'; \
         update pg_database set datfrozenxid = {oldest} where datname = '{DATABASE}'"
    );
    postgres.sql_in(DATABASE, &age)?;
    // The limits are computed anew by a VACUUM that changes the age of its own database.
    postgres.sql("vacuum (freeze)")?;
    expect_stopped(&postgres)?;
    Ok(Guard::undone_by(move || {
        std::fs::rename(&away, &file).tried(|| file.display().to_string())?;
        postgres.sql_in(DATABASE, "vacuum (freeze) audit_log")?;
        postgres.sql_in(DATABASE, "drop table audit_log").map(drop)
    }))
}

/// Makes the table and moves its file away: where it belongs, where it is.
fn damage(postgres: &Postgres) -> Result<(PathBuf, PathBuf), LabError> {
    postgres.sql_in(DATABASE, "create table audit_log (line text); insert into audit_log values ('x')")?;
    postgres.sql("checkpoint")?;
    let path = postgres.sql_in(DATABASE, "select pg_relation_filepath('audit_log')")?;
    let path = path.into_iter().flatten().flatten().next().unwrap_or_default();
    let file = postgres.data().join(path);
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).tried(|| file.display().to_string())?;
    Ok((file, away))
}

/// An error unless the server assigns no more ids (54000).
fn expect_stopped(postgres: &Postgres) -> Result<(), LabError> {
    match postgres.sql("select txid_current()") {
        Err(LabError::Sql { code: Some(code), .. }) if code == "54000" => Ok(()),
        Err(other) => Err(other),
        Ok(_) => Err(LabError::Late {
            what: "a server that assigns no more transaction ids".to_owned(),
            waited: std::time::Duration::ZERO,
            last: String::new(),
        }),
    }
}
