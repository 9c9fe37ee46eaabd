//! The room `admission`.

pub mod causes;
