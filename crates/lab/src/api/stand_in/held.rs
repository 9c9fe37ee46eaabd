//! Requests under way: the connections that they hold, and those who keep asking.

use super::{Pooled, State};
use crate::api::locked;
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

/// Connections with the right to each.
pub(super) type Held = Mutex<Vec<(Arc<Pooled>, OwnedSemaphorePermit)>>;

/// Connections that requests of the API have checked out and hold, unless its process has ended meanwhile. Dropped, they
/// are the pool's again.
#[derive(Debug)]
pub struct CheckedOut {
    pub(super) state: Arc<State>,
    pub(super) held: Arc<Held>,
    pub(super) runtime: Handle,
}

impl CheckedOut {
    /// Starts a statement on each and does not wait for its end. A request whose statement has ended, however it did, is over
    /// and gives back its connection.
    pub fn begin(&self, statement: &str) {
        for (pooled, _) in locked(&self.held).iter() {
            let (pooled, statement) = (Arc::clone(pooled), statement.to_owned());
            let (held, state) = (Arc::clone(&self.held), Arc::clone(&self.state));
            self.runtime.spawn(async move {
                drop(pooled.client.simple_query(&statement).await);
                let over = {
                    let mut held = locked(&held);
                    let at = held.iter().position(|(other, _)| Arc::ptr_eq(other, &pooled));
                    at.map(|at| held.swap_remove(at))
                };
                drop(pooled);
                if let Some((pooled, _permit)) = over
                    && let Ok(pooled) = Arc::try_unwrap(pooled)
                {
                    state.idle.lock().await.push(pooled);
                }
            });
        }
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        for (pooled, permit) in std::mem::take(&mut *locked(&self.held)) {
            // A statement that still runs keeps its connection busy: such a one is not worth keeping.
            if let Ok(pooled) = Arc::try_unwrap(pooled) {
                let state = Arc::clone(&self.state);
                self.runtime.block_on(async move { state.idle.lock().await.push(pooled) });
            }
            drop(permit);
        }
    }
}

/// Requests that keep coming. Dropped, no more come.
#[derive(Debug)]
pub(in crate::api) struct Requests(pub(super) Vec<JoinHandle<()>>);

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
