//! When each service is looked at: one task a service, each on a grid of its own, none waiting for another.
//!
//! A service costs at most one look at a time, however it hangs: its sockets, threads and memory are bounded by that, and
//! it misses its own intervals alone. A look that panics or outlives its deadline is an outcome of that one. Not in here:
//! what was seen means (`incidents`), and how it is looked (`pgmedic_path`).

mod eyes;
mod odd;
mod ward;

#[cfg(test)]
mod tests;

pub use eyes::{Ending, Eyes, Looking, Sight};

use crate::board::Board;
use crate::clock::Clock;
use crate::seen::Seen;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use ward::Ward;

/// How often, and for how long at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// From look to look.
    pub interval: Duration,
    /// From walk to walk.
    pub walk: Duration,
    /// The longest that one may take.
    pub timeout: Duration,
}

/// A service's task, and how it is woken.
#[derive(Debug)]
struct Post {
    task: Option<JoinHandle<()>>,
    /// The longest that its look in hand may take.
    longest: Duration,
    wake: Arc<Notify>,
    stop: Arc<Notify>,
}

impl Post {
    /// Lets it end with the look that it has in hand: one that is cut off leaves a session behind for a moment.
    async fn finish(mut self) {
        self.stop.notify_one();
        let Some(task) = &mut self.task else { return };
        if tokio::time::timeout(self.longest, task).await.is_ok() {
            self.task = None;
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The tasks of all services.
#[derive(Debug)]
pub struct Schedule {
    board: Board,
    clock: Clock,
    out: mpsc::Sender<Seen>,
    posts: BTreeMap<Arc<str>, Post>,
}

impl Schedule {
    /// A schedule without services. What they see goes to `out`; where nobody takes it, they wait.
    #[must_use]
    pub fn new(board: Board, clock: Clock, out: mpsc::Sender<Seen>) -> Self {
        Self { board, clock, out, posts: BTreeMap::new() }
    }

    /// Begins with a service. Its first walk is due within one interval. To be called within a `LocalSet`: a walk stays on its
    /// thread.
    pub fn begin(&mut self, service: &Arc<str>, eyes: Arc<dyn Eyes>, rounds: Rounds) {
        self.start(service, eyes, rounds, None);
    }

    /// Begins with another version of a service, once the one before has ended with the look that it has in hand, and `then`
    /// what it leaves has: the two never look at the same time.
    pub fn replace(
        &mut self,
        service: &Arc<str>,
        eyes: Arc<dyn Eyes>,
        rounds: Rounds,
        then: impl Future<Output = ()> + 'static,
    ) {
        let before = self.posts.remove(service);
        let ended = async move {
            if let Some(post) = before {
                post.finish().await;
            }
            then.await;
        };
        self.start(service, eyes, rounds, Some(Box::pin(ended)));
    }

    fn start(
        &mut self,
        service: &Arc<str>,
        eyes: Arc<dyn Eyes>,
        rounds: Rounds,
        before: Option<Pin<Box<dyn Future<Output = ()>>>>,
    ) {
        let (wake, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        if let Some(patient) = self.board.state().services.get_mut(service) {
            patient.blind = false;
        }
        let first = Instant::now() + share(service, "first", rounds.interval);
        let mut ward = Ward {
            name: Arc::clone(service),
            eyes,
            rounds,
            board: self.board.clone(),
            clock: self.clock,
            out: self.out.clone(),
            wake: Arc::clone(&wake),
            stop: Arc::clone(&stop),
            due: first,
            // So many services that begin together do not walk together for ever.
            walk_due: first + share(service, "walk", rounds.walk),
            walked_well: Cell::new(None),
            broken: Cell::new((0, first)),
        };
        let longest = ward.longest();
        // A walk holds what no other thread may touch.
        let task = tokio::task::spawn_local(async move {
            if let Some(before) = before {
                before.await;
                ward.put_off(Instant::now());
            }
            ward.watch().await;
        });
        self.posts.insert(Arc::clone(service), Post { task: Some(task), longest, wake, stop });
    }

    /// Ends with a service. What it was at is dropped.
    pub fn end(&mut self, service: &str) {
        self.posts.remove(service);
    }

    /// Ends with all of them.
    pub fn end_all(&mut self) {
        self.posts.clear();
    }

    /// Has a service walked at once.
    pub fn walk_now(&self, service: &str) {
        if let Some(post) = self.posts.get(service) {
            post.wake.notify_one();
        }
    }
}

/// A share of a span that a name has for itself, the same at each start.
fn share(name: &str, salt: &str, of: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (salt, name).hash(&mut hasher);
    let parts = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    of * parts / 1000
}
