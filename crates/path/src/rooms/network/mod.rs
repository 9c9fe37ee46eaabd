//! The room `network`: one attempt to each address.

pub(crate) mod carriage;
pub mod causes;
pub mod evidence;
mod families;
pub mod probe;
pub mod reach;
mod reading;
