//! The room `server`.

pub mod causes;
