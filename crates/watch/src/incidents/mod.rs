//! What was seen, folded into incidents: opened on confirmed evidence, one for each root cause and service, followed, closed on
//! proof. Pure: no I/O and no clock. Not in here: where they are kept (`store`), who is told (`alerts`), what is done (`policy`).

use crate::incident::{Act, Change, Incident};
use crate::seen::Seen;
use pgmedic_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is to be done about what was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Walk this service from outside at once: what was seen once is to be seen twice. Said again for as long as it is so.
    Confirm(Arc<str>),
    /// Store it, and tell whoever is to be told.
    Changed(Change, Arc<Incident>),
    /// Store it; nobody need be told: a count, a number in the summary.
    Noted(Arc<Incident>),
}

/// The incidents of every service.
#[derive(Debug, Default)]
pub struct Incidents {
    stable: Duration,
    open: BTreeMap<String, Arc<Incident>>,
}

impl Incidents {
    /// None yet. `stable` is for how long a service must stay well before its incident is closed.
    #[must_use]
    pub fn new(stable: Duration) -> Self {
        Self { stable, open: BTreeMap::new() }
    }

    /// Another `stable`, after a reload.
    pub fn set_stable(&mut self, stable: Duration) {
        self.stable = stable;
    }

    /// Takes up what a store kept: incidents that are open, and those closed within [`Incidents::SAME`].
    pub fn restore(&mut self, kept: Vec<Incident>, _now: Timestamp) {
        self.open.extend(kept.into_iter().map(|i| (i.id.clone(), Arc::new(i))));
    }

    /// An incident that comes back within this time of its close is the same one.
    pub const SAME: Duration = Duration::from_secs(600);

    /// Takes in one look or walk.
    pub fn take(&mut self, _seen: &Seen, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// Time has passed: says what was held back, and forgets what is over. To be called about once a second.
    pub fn tick(&mut self, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// Something was begun or ended for an incident: an act with the same service, time and remedy replaces the one before.
    pub fn acted(&mut self, _id: &str, _act: Act, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// A fix for an incident ended: the service was well and proved so, or not. After `escalate_after` that were not, a
    /// person is called and nothing more is begun by itself.
    pub fn fixed(
        &mut self,
        _id: &str,
        _recovered: bool,
        _escalate_after: u32,
        _now: Timestamp,
    ) -> Vec<Verdict> {
        Vec::new()
    }

    /// Why nothing is done by itself for an incident; None where something may be.
    pub fn held(&mut self, _id: &str, _why: Option<String>, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// Another watcher that shares the store had opened it first: from here on it has that one's id, and its beginning.
    pub fn adopt(&mut self, _id: &str, _other: Incident, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// A service is watched no more: its share of every incident ends, and it is said that nothing proved it well.
    pub fn drop_service(&mut self, _service: &str, _now: Timestamp) -> Vec<Verdict> {
        Vec::new()
    }

    /// One by its id: open, or closed within [`Incidents::SAME`].
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Incident>> {
        self.open.get(id)
    }

    /// Those that are open, oldest id first.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.open.values().filter(|i| i.is_open())
    }

    /// Those that are open and still hold for this service.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Arc<Incident>> {
        self.open().filter(move |i| i.services.get(service).is_some_and(|a| a.until.is_none()))
    }
}
