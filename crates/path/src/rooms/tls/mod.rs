//! The room `tls`.

pub mod causes;
pub mod evidence;
