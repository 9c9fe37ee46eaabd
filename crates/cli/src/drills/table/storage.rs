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
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "disk-filling",
            "The volume of the data directory is filling: a tenth is left.",
            faults::disk_filling::inject,
        )
    },
    drill(
        API,
        "slot-retains-wal",
        "A replication slot that nobody reads keeps WAL from removal.",
        faults::slot_retains_wal::inject,
    ),
];
