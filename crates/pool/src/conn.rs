//! One pooled connection, as it moves between the pool and its callers.
//!
//! Not in here: what a caller sees of it (`object`).

use crate::connect::Place;
use crate::wire::Wire;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Statement};

/// A connection. Its I/O is the driver's; its age, and who has it, are its slot's.
pub(crate) struct Conn {
    pub(crate) client: Client,
    pub(crate) wire: Arc<Wire>,
    /// Never used twice.
    pub(crate) id: u64,
    /// Where in the pool's table its slot is.
    pub(crate) slot: usize,
    pub(crate) place: Arc<Place>,
    /// Ends the driver at once, with whatever it waits for.
    pub(crate) driver: AbortHandle,
    /// Statements prepared by `Object::prepare_cached`, by their text.
    pub(crate) statements: Mutex<HashMap<Box<str>, Statement>>,
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn").field("id", &self.id).field("place", &self.place).finish_non_exhaustive()
    }
}
