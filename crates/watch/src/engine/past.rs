//! What is learnt late: what a store knew that was away at the start, what other watchers had before this one, what they leave
//! to it, which services cannot be seen, which servers they have, and that the clock was set. Not in here: asking the store (`store`), looking (`schedule`).

use super::keep::Other;
use super::{Engine, Host, News};
use crate::incident::{Change, Incident};
use crate::store::{Restored, Store, StoreError};
use pgmedic_model::Ms;
use pgmedic_path::aside;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A store that is asked what it knows.
type Asked = oneshot::Receiver<Result<Restored, StoreError>>;

/// What is still to be learnt.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// What was open before this start is not known yet.
    owed: bool,
    asked: Option<Asked>,
    /// Services of which it was told that they cannot be seen.
    unseen: BTreeSet<Arc<str>>,
}

impl Past {
    /// Asks at the start. A store that cannot be read keeps nobody from watching: it is asked again until it answers.
    pub(super) async fn ask(store: &Store, host: &dyn Host) -> (Vec<Incident>, Self) {
        let restored = store.restore().await;
        let (incidents, owed) = match restored {
            Ok(Restored { incidents, said, .. }) => {
                for said in &said {
                    host.tell(&News::Trouble(said));
                }
                (incidents, false)
            }
            Err(error) => {
                let words = format!(
                    "which incidents are open already is not known, and is asked again until it is: {error}"
                );
                host.tell(&News::Trouble(&words));
                (Vec::new(), true)
            }
        };
        (incidents, Self { owed, ..Self::default() })
    }

    /// What was open before, once the store has answered after all.
    fn learnt(&mut self, store: &Store) -> Option<Restored> {
        if !self.owed {
            return None;
        }
        let Some(asked) = &mut self.asked else {
            let (tell, told) = oneshot::channel();
            self.asked = Some(told);
            let store = store.clone();
            tokio::spawn(async move {
                // The engine has ended.
                let _gone = tell.send(store.restore().await);
            });
            return None;
        };
        match asked.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => None,
            Ok(Ok(restored)) => {
                (self.owed, self.asked) = (false, None);
                Some(restored)
            }
            Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                self.asked = None;
                None
            }
        }
    }
}

impl Engine {
    /// Takes up what was open before the start, where the store was away then. To be called about once a second.
    pub(super) fn take_up_the_past(&mut self) {
        let Some(restored) = self.past.learnt(&self.store) else { return };
        for said in &restored.said {
            self.host.tell(&News::Trouble(said));
        }
        self.go_on_with(restored.incidents);
    }

    /// Goes on with what was open elsewhere: before this start, or with a watcher that is gone.
    fn go_on_with(&mut self, incidents: Vec<Incident>) {
        let now = self.clock.now();
        // What is known here has been written meanwhile: that is not what was before.
        let before: Vec<Incident> =
            incidents.into_iter().filter(|i| self.incidents.get(&i.id).is_none()).collect();
        if before.is_empty() {
            return;
        }
        let (mut known, mut twins) = (Vec::new(), Vec::new());
        // The latest first: it is likelier the one that lasts.
        for incident in before.into_iter().rev() {
            match self.incidents.twin(&incident).map(|mine| mine.id.clone()) {
                Some(id) if !twins.iter().any(|(taken, _)| *taken == id) => twins.push((id, incident)),
                _ => known.push(incident),
            }
        }
        self.incidents.restore(known, now);
        for (id, incident) in twins {
            if let Some(over) = self.is_anothers(&id, &incident.id) {
                self.keep(&over, Vec::new());
            }
            self.adopt(Other { id, incident: Box::new(incident) });
        }
        self.put_on_board();
        let (alerts, host) = (self.outlets.told().clone(), Arc::clone(&self.host));
        let open: Vec<Arc<Incident>> = self.incidents.open().cloned().collect();
        tokio::spawn(async move {
            if let Err(error) = alerts.resume(&open).await {
                host.tell(&News::Trouble(&error.to_string()));
            }
        });
        self.settle_the_past();
        self.drop_strangers();
        self.notify.status(&self.status());
    }

    /// Another watcher has an incident already that was opened here.
    pub(super) fn adopt(&mut self, other: Other) {
        let Other { id, incident } = other;
        self.board.state().incidents.remove(&id);
        let verdicts = self.incidents.adopt(&id, *incident, self.clock.now());
        self.follow(verdicts);
    }

    /// What another watcher did that is gone falls to this one, and what it had before this one is known to be its own.
    pub(super) fn take_over(&mut self) {
        let taken = self.store.taken_over();
        for said in &taken.said {
            self.host.tell(&News::Trouble(said));
        }
        for (id, incident) in taken.others {
            self.is_anothers(&id, &incident.id);
            self.adopt(Other { id, incident });
        }
        if !taken.entries.is_empty() {
            self.outlets.told().take(taken.entries);
        }
        let left: Vec<String> = taken.incidents.iter().map(|incident| incident.id.clone()).collect();
        self.go_on_with(taken.incidents);
        // By that they are this watcher's in the store, too.
        for incident in left.iter().filter_map(|id| self.incidents.get(id)) {
            self.keep(incident, Vec::new());
        }
        let open: Vec<Arc<Incident>> =
            taken.services.iter().flat_map(|service| self.incidents.of(service).cloned()).collect();
        for incident in open {
            self.changed(Change::Updated, incident);
        }
    }

    /// An incident of which people were told goes on under another id: under this one they hear that it is over, or it would
    /// be open with them for ever. Gives it as it ends; None where it has that id already, or is closed.
    fn is_anothers(&self, id: &str, other: &str) -> Option<Arc<Incident>> {
        let mine = self.incidents.get(id).filter(|mine| id != other && mine.is_open())?;
        let now = self.clock.now();
        let held = Some(format!("it goes on as {other}, which was opened first"));
        let over = Incident { closed_at: Some(now), updated_at: now, held, ..Incident::clone(mine) };
        let alerts = self.outlets.told();
        alerts.take(alerts.entries(Change::Closed, &over));
        Some(Arc::new(over))
    }

    /// Writes down which servers were met, those of a second at once.
    pub(super) fn remember(&mut self) {
        if self.met.is_empty() {
            return;
        }
        let (met, host) = (std::mem::take(&mut self.met), Arc::clone(&self.host));
        tokio::spawn(async move {
            let until = Instant::now() + Duration::from_secs(10);
            let writes = Arc::clone(&host);
            let written = aside::call("remember", until, move || writes.remember(&met)).await;
            if let Some(why) = match written {
                Ok(written) => written.err(),
                Err(error) => Some(error.to_string()),
            } {
                host.tell(&News::Trouble(&format!("which servers were met is not remembered: {why}")));
            }
        });
    }

    /// Spans of time stay what they were where the wall clock is set: cooldowns, holds, and how long an incident has lasted.
    pub(super) fn heed_the_clock(&mut self) {
        let Some(by) = self.steady.set_by(self.clock) else { return };
        self.incidents.shift(by);
        for tended in self.services.values_mut() {
            tended.roots_at.values_mut().chain(tended.retry.values_mut()).for_each(|at| *at = at.plus(by));
        }
        self.put_on_board();
        let way = if by.0 < 0.0 { "back" } else { "forward" };
        let words = format!(
            "this host's clock was set {way} by {}: what has lasted a while has lasted no longer and no shorter",
            Ms(by.0.abs())
        );
        self.host.tell(&News::Trouble(&words));
    }

    /// Says once of each service that nobody sees it, and once that it is seen again.
    pub(super) fn tell_who_is_unseen(&mut self) {
        let unseen: BTreeSet<Arc<str>> = {
            let state = self.board.state();
            state.services.iter().filter(|(_, p)| p.blind).map(|(name, _)| Arc::clone(name)).collect()
        };
        for name in unseen.difference(&self.past.unseen) {
            let words = format!(
                "{name} cannot be seen: each walk breaks down or does not end; how it stands is unknown until one does"
            );
            self.host.tell(&News::Trouble(&words));
        }
        for name in self.past.unseen.difference(&unseen) {
            self.host.tell(&News::Trouble(&format!("{name} is seen again")));
        }
        self.past.unseen = unseen;
    }
}
