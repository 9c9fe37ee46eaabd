//! The causes of the room `network`, one file each.

use crate::cause::Cause;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[];
