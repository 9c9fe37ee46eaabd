//! The room `app`.

pub mod causes;
pub mod evidence;
