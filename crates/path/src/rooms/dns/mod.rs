//! The room `dns`.

pub mod causes;
pub mod evidence;
