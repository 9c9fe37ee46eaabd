//! The room `sessions`: what admitted sessions do to each other and to the slots. Not in here: the slots themselves
//! (`admission`) and how sessions are read (`sql`).

pub mod causes;
pub(crate) mod ending;
pub(crate) mod ghosts;
pub(crate) mod strain;
pub(crate) mod waits;
