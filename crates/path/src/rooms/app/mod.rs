//! The room `app`: what the API shows of its database: readiness, its pool, its log. Not in here: the walk itself.

pub mod causes;
pub mod evidence;
pub mod log;
mod log_shape;
mod metrics;
pub mod probe;
pub(crate) mod readiness;
