//! The readers of bytes from outside that are no part of the interface, for the fuzz targets of `fuzz/`. Behind the feature
//! `fuzzing`. A reader must bear any bytes: no panic, no endless loop, no unbounded memory.

pub use crate::platform::fuzzing::{host, logs, platforms};
pub use crate::rooms::dns::fuzzing::dns;
pub use crate::rooms::tls::fuzzing::certificate;
pub use crate::sql::fuzzing::answer;
