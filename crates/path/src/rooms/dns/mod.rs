//! The room `dns`.

pub mod causes;
pub mod evidence;
pub mod nameserver;
pub mod probe;
pub mod resolv_conf;
