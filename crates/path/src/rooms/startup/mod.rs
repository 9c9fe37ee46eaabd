//! The room `startup`.

pub mod causes;
pub mod evidence;
