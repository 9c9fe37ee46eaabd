//! The room `storage`.

pub mod causes;
