//! The room `sessions`.

pub mod causes;
