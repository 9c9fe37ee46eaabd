//! The causes of the room `server`, one file each.

use crate::cause::Cause;

pub mod server_hung;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[&server_hung::CAUSE];
