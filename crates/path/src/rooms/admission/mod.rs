//! The room `admission`: whether there is a slot. Not in here: who the role is and whether it may log in (`startup`).

pub mod causes;
pub(crate) mod limits;
pub(crate) mod slots;
