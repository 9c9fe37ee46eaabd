//! The causes of the room `server`, one file each.

use crate::cause::Cause;

pub mod allocation_failed;
pub mod backend_crashed;
pub mod fork_failed;
pub mod host_starved;
pub mod lock_table_full;
pub mod out_of_memory_kill;
pub mod read_only_by_setting;
pub mod recovery_conflict;
pub mod routed_to_standby;
pub mod server_cannot_start;
pub mod server_descriptors_exhausted;
pub mod server_down;
pub mod server_hung;
pub mod server_recovering;
pub mod server_shutting_down;
pub mod server_starting;
pub mod shared_memory_full;
pub mod stale_lock_file;
pub mod standby_not_ready;
pub mod stopped_by_administrator;
pub mod wraparound_guard;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &out_of_memory_kill::CAUSE,
    &host_starved::CAUSE,
    &recovery_conflict::CAUSE,
    &allocation_failed::CAUSE,
    &server_descriptors_exhausted::CAUSE,
    &shared_memory_full::CAUSE,
    &lock_table_full::CAUSE,
    &stale_lock_file::CAUSE,
    &server_cannot_start::CAUSE,
    &server_hung::CAUSE,
    &server_down::CAUSE,
    &server_starting::CAUSE,
    &server_recovering::CAUSE,
    &standby_not_ready::CAUSE,
    &server_shutting_down::CAUSE,
    &stopped_by_administrator::CAUSE,
    &backend_crashed::CAUSE,
    &fork_failed::CAUSE,
    &read_only_by_setting::CAUSE,
    &routed_to_standby::CAUSE,
    &wraparound_guard::CAUSE,
];
