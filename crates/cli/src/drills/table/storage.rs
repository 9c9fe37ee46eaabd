//! Drills of the room `storage`.

use super::{API, MOUNT, VOLUME, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "disk-full",
            "A table has grown until the volume of the data directory was full.",
            faults::disk_full::inject,
        )
        .mended_by(&["extend-volume"])
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "logs-fill-disk",
            "The server logs so much that its log files fill the volume of the data directory.",
            faults::logs_fill_disk::inject,
        )
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "disk-filling",
            "The volume of the data directory is filling: a tenth is left.",
            faults::disk_filling::inject,
        )
        .mended_by(&["extend-volume"])
    },
    drill(
        API,
        "slot-retains-wal",
        "A replication slot that nobody reads keeps WAL from removal.",
        faults::slot_retains_wal::inject,
    ),
    Drill {
        root: Some(MOUNT),
        programs: &["mount"],
        ..drill(
            API,
            "wal-volume-full",
            "WAL has a volume of its own, and it ran full.",
            faults::wal_volume_full::inject,
        )
        .mended_by(&["extend-volume", "start-database"])
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "inodes-exhausted",
            "Small files took the last inode of the data directory's volume.",
            faults::inodes_exhausted::inject,
        )
    },
    Drill {
        root: Some(MOUNT),
        programs: &["mount", "mkfs.ext4"],
        ..drill(
            API,
            "filesystem-read-only",
            "The data directory's filesystem met an error and went read-only.",
            faults::filesystem_read_only::inject,
        )
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "temp-files-fill-disk",
            "Queries sort more than fits their work_mem, and fill the volume.",
            faults::temp_files_fill_disk::inject,
        )
    },
    drill(
        API,
        "archiver-failing",
        "archive_command fails, again and again.",
        faults::archiver_failing::inject,
    ),
];
