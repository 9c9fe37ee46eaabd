//! The room `startup`: authentication, pg_hba, database.

mod auth;
pub mod causes;
pub mod evidence;
pub mod probe;
pub(crate) mod refusal;
mod scram;
pub mod session;
pub mod wire;
