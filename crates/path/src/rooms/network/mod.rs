//! The room `network`.

pub mod causes;
pub mod evidence;
