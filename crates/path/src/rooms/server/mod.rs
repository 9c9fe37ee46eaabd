//! The room `server`: the state of the server itself. Not in here: its slots (`admission`) and its disk (`storage`).

pub mod causes;
pub(crate) mod gone;
pub(crate) mod log;
pub(crate) mod startup_process;
