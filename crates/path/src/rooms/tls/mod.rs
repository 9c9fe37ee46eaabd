//! The room `tls`: the handshake and the certificate, as libpq's `sslmode` has it.

pub mod causes;
mod certificate;
mod chain;
pub mod evidence;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod probe;
mod reading;
mod verify;
