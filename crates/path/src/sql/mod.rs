//! The one statement, and the shape of its answer.

pub mod facts;
