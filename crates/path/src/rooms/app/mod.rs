//! The room `app`.

pub mod causes;
pub mod evidence;
pub mod log;
mod log_time;
mod log_words;
