//! The causes of the room `storage`, one file each.

use crate::cause::Cause;

pub mod archiver_failing;
pub mod disk_filling;
pub mod disk_full;
pub mod filesystem_read_only;
pub mod inodes_exhausted;
pub mod logs_fill_disk;
pub mod slot_retains_wal;
pub mod temp_files_fill_disk;
pub mod wal_volume_full;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &logs_fill_disk::CAUSE,
    &temp_files_fill_disk::CAUSE,
    &archiver_failing::CAUSE,
    &disk_full::CAUSE,
    &wal_volume_full::CAUSE,
    &inodes_exhausted::CAUSE,
    &filesystem_read_only::CAUSE,
    &disk_filling::CAUSE,
    &slot_retains_wal::CAUSE,
];
