//! Incidents on their way to disk, one after the other, and from there to whoever is told: neither waits long for the other,
//! and the engine waits for neither. Not in here: the store and the alerts themselves.

use crate::alerts::{Alerts, Entry};
use crate::incident::Incident;
use crate::store::{Put, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the store has to take a change before it is told all the same.
const PATIENCE: Duration = Duration::from_millis(50);
/// The same for a store that watchers share: what this one tells too early another one tells as well, and one of the two is
/// withdrawn. It counts from when the change came about, so that a thousand do not wait for a slow store one after the other.
const SHARED: Duration = Duration::from_secs(1);
/// The patience with a store that was late for the one before while more wait: a thousand do not wait for it one after the
/// other. With a shared one it is the least that is waited.
const IMPATIENCE: Duration = Duration::from_millis(1);

/// A change that is to be kept, and told.
pub(super) struct Change {
    pub(super) incident: Arc<Incident>,
    pub(super) entries: Vec<Entry>,
}

/// Another watcher that shares the store has this incident: it is to be adopted under the id that it had here.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) id: String,
    pub(super) incident: Box<Incident>,
}

/// The way to the disk.
#[derive(Debug)]
pub(super) struct Keeper {
    to: mpsc::UnboundedSender<(Instant, Change)>,
    /// Who is told: those of the newest configuration, whoever wrote down what is to be told.
    told: watch::Sender<Alerts>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Opens it. What other watchers have comes out of `others`.
    pub(super) fn open(store: Store, told: Alerts, others: mpsc::UnboundedSender<Other>) -> Self {
        let (to, changes) = mpsc::unbounded_channel();
        let (told, newest) = watch::channel(told);
        Self { to, told, task: tokio::spawn(keep(store, newest, changes, others)) }
    }

    /// Others are told from now on, also of what is on its way.
    pub(super) fn tell(&self, told: Alerts) {
        self.told.send_replace(told);
    }

    pub(super) fn put(&self, change: Change) {
        // The task lives for as long as this does.
        let _gone = self.to.send((Instant::now(), change));
    }

    /// Everything that was put is kept and on its way to whoever is told, as far as there is time for it.
    pub(super) async fn close(self, within: Duration) {
        drop(self.to);
        let _late = tokio::time::timeout(within, self.task).await;
    }
}

async fn keep(
    store: Store,
    told: watch::Receiver<Alerts>,
    mut changes: mpsc::UnboundedReceiver<(Instant, Change)>,
    others: mpsc::UnboundedSender<Other>,
) {
    let mut late = false;
    while let Some((at, Change { incident, entries })) = changes.recv().await {
        let id = incident.id.clone();
        // Only while others wait behind it: what comes of one that is late is told by the store later, but better at once.
        let within = if store.is_shared() {
            SHARED.saturating_sub(at.elapsed()).max(IMPATIENCE)
        } else if late && !changes.is_empty() {
            IMPATIENCE
        } else {
            PATIENCE
        };
        let put = store.put(incident, entries.clone(), within).await;
        late = put == Put::Late;
        let other = match put {
            Put::Kept | Put::Late => {
                told.borrow().take(entries);
                continue;
            }
            Put::Elsewhere(other) => other,
            Put::Adopt(other) => Some(other),
        };
        if let Some(incident) = other {
            // The engine has ended.
            let _gone = others.send(Other { id, incident });
        }
    }
}
