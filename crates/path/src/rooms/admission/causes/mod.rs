//! The causes of the room `admission`, one file each.

use crate::cause::Cause;

pub mod all_slots_exhausted;
pub mod database_invalid;
pub mod database_limit_reached;
pub mod database_not_accepting;
pub mod role_limit_reached;
pub mod self_inflicted;
pub mod slots_exhausted;
pub mod slots_nearly_exhausted;
pub mod unauthenticated_flood;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &self_inflicted::CAUSE,
    &unauthenticated_flood::CAUSE,
    &slots_exhausted::CAUSE,
    &all_slots_exhausted::CAUSE,
    &role_limit_reached::CAUSE,
    &database_limit_reached::CAUSE,
    &database_not_accepting::CAUSE,
    &database_invalid::CAUSE,
    &slots_nearly_exhausted::CAUSE,
];
