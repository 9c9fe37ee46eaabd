//! The room `network`: one attempt to each address.

pub mod causes;
pub mod evidence;
pub mod probe;
pub mod reach;
mod reading;
