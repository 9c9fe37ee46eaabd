//! What a fault is while it lasts: a guard that holds what it holds and takes the fault away when it is dropped.

use crate::error::LabError;
use std::any::Any;

/// Takes a fault away.
type Remove = Box<dyn FnOnce() -> Result<(), LabError> + Send>;

/// A fault that lasts. Dropped, it is gone; [`Guard::remove`] says whether that went well.
#[must_use = "a fault lasts as long as its guard"]
#[derive(Default)]
pub struct Guard {
    held: Vec<Box<dyn Any + Send>>,
    remove: Vec<Remove>,
}

impl Guard {
    /// A fault that lies in what it holds: sessions, mounts, sockets.
    pub fn holding(held: impl Any + Send) -> Self {
        Self { held: vec![Box::new(held)], remove: Vec::new() }
    }

    /// A fault that is taken away by doing something.
    pub fn undone_by(remove: impl FnOnce() -> Result<(), LabError> + Send + 'static) -> Self {
        Self { held: Vec::new(), remove: vec![Box::new(remove)] }
    }

    /// The same, which also holds something. It lets go before anything is undone.
    pub fn and_holding(mut self, held: impl Any + Send) -> Self {
        self.held.push(Box::new(held));
        self
    }

    /// The same, which also undoes something, after what was there before.
    pub fn and_undone_by(mut self, remove: impl FnOnce() -> Result<(), LabError> + Send + 'static) -> Self {
        self.remove.push(Box::new(remove));
        self
    }

    /// Takes the fault away.
    ///
    /// # Errors
    /// The first thing that went wrong; the rest is undone all the same.
    pub fn remove(mut self) -> Result<(), LabError> {
        self.undo()
    }

    fn undo(&mut self) -> Result<(), LabError> {
        self.held.clear();
        let mut outcome = Ok(());
        for remove in self.remove.drain(..) {
            let removed = remove();
            outcome = outcome.and(removed);
        }
        outcome
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody is left to tell: whoever wants to know calls `remove`.
        let _said_nowhere = self.undo();
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("held", &self.held.len()).field("remove", &self.remove.len()).finish()
    }
}
