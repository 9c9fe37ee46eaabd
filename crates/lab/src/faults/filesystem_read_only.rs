//! The data directory's filesystem met an error and went read-only. Needs root.
//!
//! An ext4 on a loop device, with `errors=remount-ro`, lies over the data directory; the kernel is told that it met an
//! error (`/sys/fs/ext4/DEVICE/trigger_fs_error`, Documentation/ABI/testing/sysfs-fs-ext4). The data that the server
//! had before lie untouched beneath.

use crate::error::Tried as _;
use crate::postgres::Stop;
use crate::volume::Volume;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Large enough for the cluster.
const SIZE_MB: u32 = 256;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.stop(Stop::Fast)?;
    let volume = Volume::mount_over(lab.folder(), postgres.data(), SIZE_MB, lab.janitor())?;
    postgres.up()?;
    lab.restart_api();
    let trigger = volume.device()?.join("trigger_fs_error");
    std::fs::write(&trigger, "the lab says so").tried(|| trigger.display().to_string())?;
    Ok(Guard::undone_by(move || {
        postgres.stop(Stop::Immediate)?;
        drop(volume);
        postgres.up()
    }))
}
