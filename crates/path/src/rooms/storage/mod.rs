//! The room `storage`: data, WAL, slots, inodes. Not in here: how volumes are read (`platform`).

pub mod causes;
pub(crate) mod volumes;
