//! The causes of the room `sessions`, one file each.

use crate::cause::Cause;

pub mod ghost_sessions;
pub mod idle_in_transaction;
pub mod idle_sessions;
pub mod lock_pile_up;
pub mod long_queries;
pub mod orphan_prepared_transaction;
pub mod unkillable_backend;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &ghost_sessions::CAUSE,
    &unkillable_backend::CAUSE,
    &lock_pile_up::CAUSE,
    &orphan_prepared_transaction::CAUSE,
    &idle_in_transaction::CAUSE,
    &long_queries::CAUSE,
    &idle_sessions::CAUSE,
];
