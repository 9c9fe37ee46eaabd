//! WAL has a volume of its own, and it ran full: the server died of it and cannot come back. Needs root.

use crate::error::Tried as _;
use crate::postgres::Stop;
use crate::process;
use crate::volume::Volume;
use crate::{Guard, Lab, LabError, wait};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Less than `max_wal_size`: no checkpoint removes WAL before the volume is full.
const SIZE_MB: u32 = 24;
/// How long the server may take to die of it, and of the recovery that it tries.
const PATIENCE: Duration = Duration::from_secs(20);

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    let volume = Arc::new(Volume::mount(lab.folder(), "wal-volume", SIZE_MB, lab.janitor())?);
    lab.mounted().add(&volume);
    let wal = postgres.data().join("pg_wal");
    postgres.stop(Stop::Fast)?;
    let was = move_files(&wal, volume.path())?;
    std::os::unix::fs::symlink(volume.path(), &wal).tried(|| wal.display().to_string())?;
    postgres.up()?;
    lab.restart_api();
    let writes = "select count(pg_logical_emit_message(false, 'lab', repeat('x', 100000))) from generate_series(1, 1000)";
    // Where its recovery still finds room it comes back, and is written to again.
    wait::until("a server that dies of a full WAL volume", PATIENCE, || {
        let wrote = postgres.sql(writes).is_ok();
        Ok(if postgres.is_alive() { Err(if wrote { "it writes on" } else { "it recovers" }) } else { Ok(()) })
    })?;
    postgres.wait_stopped()?;
    Ok(Guard::undone_by(move || {
        volume.enlarge(8 * SIZE_MB)?;
        postgres.ensure_up()?;
        postgres.stop(Stop::Fast)?;
        put_back(volume.path(), &wal, was.as_deref())?;
        drop(volume);
        postgres.up()
    }))
}

/// Moves what is in `wal` to the volume; gives where the folder led to, if it was a link itself.
fn move_files(wal: &Path, volume: &Path) -> Result<Option<PathBuf>, LabError> {
    copy(wal, volume)?;
    let link = std::fs::read_link(wal).ok();
    let removed = if link.is_some() { std::fs::remove_file(wal) } else { std::fs::remove_dir_all(wal) };
    removed.tried(|| wal.display().to_string())?;
    Ok(link)
}

/// Moves it all back.
fn put_back(volume: &Path, wal: &Path, link: Option<&Path>) -> Result<(), LabError> {
    std::fs::remove_file(wal).tried(|| wal.display().to_string())?;
    let made = match link {
        Some(to) => std::os::unix::fs::symlink(to, wal),
        None => std::fs::create_dir(wal),
    };
    made.tried(|| wal.display().to_string())?;
    copy(volume, wal)
}

/// Copies a folder's content, and whose it is.
fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    process::run("cp", Command::new("cp").arg("-a").arg(from.join(".")).arg(to.join("."))).map(drop)
}
