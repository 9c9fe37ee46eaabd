//! The causes of the room `admission`, one file each.

use crate::cause::Cause;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[];
