//! The causes of the room `dns`, one file each.

use crate::cause::Cause;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[];
