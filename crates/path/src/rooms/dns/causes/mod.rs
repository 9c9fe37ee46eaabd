//! The causes of the room `dns`, one file each.

use crate::cause::Cause;

pub mod name_not_found;
pub mod name_without_address;
pub mod resolver_failing;
pub mod resolver_silent;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &name_not_found::CAUSE,
    &name_without_address::CAUSE,
    &resolver_failing::CAUSE,
    &resolver_silent::CAUSE,
];
