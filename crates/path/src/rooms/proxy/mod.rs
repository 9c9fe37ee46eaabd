//! The room `proxy`.

pub mod causes;
pub mod evidence;
