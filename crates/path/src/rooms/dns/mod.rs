//! The room `dns`.

mod asking;
pub mod causes;
pub mod evidence;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod nameserver;
pub mod probe;
mod reading;
pub mod resolv_conf;
mod system;
