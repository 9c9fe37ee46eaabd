//! The server's `/dev/shm` is as small as a container's can be, and full: every parallel query fails. Needs root.
//!
//! The server is started in a mount namespace of its own, with a `/dev/shm` of its own; nobody else's is touched.

use crate::error::Tried as _;
use crate::postgres::{ROLE, Stop};
use crate::process::is_root;
use crate::{Guard, Lab, LabError, programs};
use std::sync::Arc;

/// What unshare(1) runs: a small `/dev/shm`, and then the server in its place.
const SMALL: &str = "mount -t tmpfs -o size=2m,mode=1777 pgmedic-lab /dev/shm && exec \"$@\"";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    if !is_root() {
        return Err(LabError::NeedsRoot("a /dev/shm of the server's own is a mount"));
    }
    let postgres = Arc::clone(lab.postgres());
    let unshare = programs::find("unshare")?;
    postgres.write("fault.conf", "dynamic_shared_memory_type = posix\n")?;
    postgres.stop(Stop::Fast)?;
    let namespace = ["--mount", "--propagation", "private", "--", "sh", "-c", SMALL, "sh"];
    let wrapper: Vec<_> = std::iter::once(unshare.into()).chain(namespace.map(Into::into)).collect();
    postgres.launch_by(&wrapper)?;
    postgres.wait_ready()?;
    let undone = Arc::clone(&postgres);
    let guard = Guard::undone_by(move || {
        undone.stop(Stop::Fast)?;
        undone.remove("fault.conf")?;
        undone.up()?;
        undone.sql(&format!("alter role {ROLE} reset all")).map(drop)
    });
    // Renamed in 16.
    let parallel = postgres.value(
        "select name from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query')",
    )?;
    postgres.sql(&format!("alter role {ROLE} set {parallel} = on"))?;
    fill(postgres.pid()?)?;
    lab.restart_api();
    Ok(guard)
}

/// Fills the `/dev/shm` that a process sees.
fn fill(pid: u32) -> Result<(), LabError> {
    let ballast = format!("/proc/{pid}/root/dev/shm/ballast");
    match std::fs::write(&ballast, vec![0; 4 << 20]) {
        Err(e) if e.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        outcome => outcome.tried(|| ballast),
    }
}
