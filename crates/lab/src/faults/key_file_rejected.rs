//! Somebody renewed the server's key and left it readable to everybody. The running server has the old one in memory.

use crate::postgres::Postgres;
use crate::{Guard, Lab, LabError};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// The file of the key.
const KEY: &str = "server.key";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.authority()?;
    let postgres = Arc::clone(lab.postgres());
    chmod(&postgres, 0o644)?;
    Ok(Guard::undone_by(move || chmod(&postgres, 0o600)))
}

fn chmod(postgres: &Postgres, mode: u32) -> Result<(), LabError> {
    let path = postgres.data().join(KEY);
    let set = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    set.map_err(|source| LabError::Io { what: path.display().to_string(), source })
}
