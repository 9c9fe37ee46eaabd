//! The room `dns`.

mod asking;
pub mod causes;
pub mod evidence;
pub mod nameserver;
pub mod probe;
mod reading;
pub mod resolv_conf;
