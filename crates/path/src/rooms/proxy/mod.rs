//! The room `proxy`: the hop in front of the server. The first bytes on a fresh connection, the pooler's console, and
//! the causes that sit in a HAProxy, a Fly proxy or a PgBouncer.

pub mod causes;
pub mod console;
pub mod evidence;
mod first_bytes;
pub(crate) mod log;
pub mod probe;
pub(crate) mod queue;
pub(crate) mod silence;
