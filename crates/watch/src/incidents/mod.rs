//! What was seen, folded into incidents: opened on confirmed evidence, one for each root cause and service, followed, closed on
//! proof. Pure: no I/O and no clock. Not in here: where they are kept (`store`), who is told (`alerts`), what is done (`policy`).
//!
//! - *Opened*: `confirm` says when.
//! - *One*: a root has at most one open incident for a service. The same root of several services is one incident where
//!   evidence shows what they share (`places`), whenever they fall ill; what they do not share is not merged.
//! - *Followed*: where the root is found no more, another is that was not there before, and nothing was well in between,
//!   then it is the same trouble by another name (starting, then recovering; a surer diagnosis): the incident goes by the new
//!   name and keeps the old ones in `causes`. A warning that grows critical is followed too, where the critical root is of
//!   the same room or explains it. Names that go to and fro change it ever more seldom, once in 5 min at the most.
//! - *Updated*: said at once where it is worse, came back, or something was done; else ever more seldom, so that nobody is
//!   told of each number.
//! - *Closed*: a walk by the door came to where the root had been and found it gone, and nothing was amiss with it for the
//!   hold time: `stable`, doubled with each flap, at most [`Incidents::HOLD`]. A look alone closes nothing, and what is
//!   unknown is neither well nor ill.
//! - *Flapping* is one incident: what comes back before it is closed or within [`Incidents::SAME`] of that is the same again.

mod case;
mod confirm;
mod fold;
mod known;
mod open;
mod places;
#[cfg(test)]
pub(crate) mod scene;
mod shifted;
#[cfg(test)]
mod tests;

use crate::incident::{Act, Change, Incident};
use crate::seen::Seen;
use case::{Case, Share};
use known::{Known, Weight};
use pgmedic_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is to be done about what was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Walk this service from outside at once: what was seen once is to be seen twice, or to be proved over. Said again for
    /// as long as it is so.
    Confirm(Arc<str>),
    /// Store it, and tell whoever is to be told.
    Changed(Change, Arc<Incident>),
    /// Store it; nobody need be told: a count, a number in the summary.
    Noted(Arc<Incident>),
}

/// The incidents of every service.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    stable: Duration,
    /// Those that are open, and those closed within [`Incidents::SAME`], by id.
    known: BTreeMap<String, Known>,
    /// Services with something in doubt or an incident.
    cases: BTreeMap<Arc<str>, Case>,
}

impl Incidents {
    /// An incident that comes back within this time of its close is the same one.
    pub const SAME: Duration = Duration::from_secs(600);
    /// A warning of the same room is told of only this long after a critical incident: slots that were freed up to
    /// `keep_free` are near their limit until those who hold them have calmed down.
    pub const WAKE: Duration = Duration::from_secs(60);
    /// The longest that a service must stay well before its incident is closed, however often it flapped.
    pub const HOLD: Duration = Duration::from_secs(300);
    /// The most closed incidents that are known for coming back.
    pub const CLOSED: usize = 1000;

    /// None yet. `stable` is for how long a service must stay well before its incident is closed.
    #[must_use]
    pub fn new(stable: Duration) -> Self {
        Self { stable, ..Self::default() }
    }

    /// Another `stable`, after a reload.
    pub fn set_stable(&mut self, stable: Duration) {
        self.stable = stable;
    }

    /// Takes up what a store kept: incidents that are open, and those closed within [`Incidents::SAME`]. What had been proved
    /// well before is proved anew.
    pub fn restore(&mut self, kept: Vec<Incident>, now: Timestamp) {
        for incident in kept {
            self.put_in(incident, now);
        }
        self.forget(now);
    }

    /// The open incident that is the same trouble as one that was kept, and that was opened because nobody knew of that: a
    /// service is ill with both, and they share a name of their roots, or it is ill with nothing else here and as gravely:
    /// the root goes by another name by now, as one that is followed would.
    #[must_use]
    pub fn twin(&self, kept: &Incident) -> Option<&Arc<Incident>> {
        let ill = |i: &Incident, service: &str| i.services.get(service).is_some_and(|a| a.until.is_none());
        let names = |i: &Incident, cause: &str| i.cause == cause || i.causes.iter().any(|n| n.cause == cause);
        let both = |mine: &&Arc<Incident>| {
            kept.is_open() && mine.services.keys().any(|service| ill(mine, service) && ill(kept, service))
        };
        let same = |mine: &&Arc<Incident>| names(kept, &mine.cause) || names(mine, &kept.cause);
        let mut one = self.open().filter(both);
        self.open().filter(both).find(same).or_else(|| {
            let only = one.next().filter(|mine| mine.severity == kept.severity);
            only.filter(|_| one.next().is_none())
        })
    }

    /// Takes in one look or walk.
    pub fn take(&mut self, seen: &Seen, now: Timestamp) -> Vec<Verdict> {
        let mut out = Vec::new();
        let mut case = self.cases.remove(&seen.service).unwrap_or_default();
        case.doubts.note(seen);
        self.found_again(&mut case, seen, now, &mut out);
        self.criticals(&mut case, seen, now, &mut out);
        self.warnings(&mut case, seen, now, &mut out);
        if !(case.shares.is_empty() && case.doubts.is_empty()) {
            self.cases.insert(Arc::clone(&seen.service), case);
        }
        out
    }

    /// Time has passed: says what was held back, and forgets what is over. To be called about once a second.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Verdict> {
        let mut out = Vec::new();
        for known in self.known.values_mut() {
            known.say_what_is_owed(now, &mut out);
        }
        self.forget(now);
        out
    }

    /// Something was begun or ended for an incident: an act with the same service, time and remedy replaces the one before.
    pub fn acted(&mut self, id: &str, act: Act, now: Timestamp) -> Vec<Verdict> {
        self.change(id, Weight::AtOnce, now, |incident| {
            let same = |a: &&mut Act| a.service == act.service && a.at == act.at && a.remedy == act.remedy;
            match incident.actions.iter_mut().find(same) {
                Some(before) => *before = act,
                None => incident.actions.push(act),
            }
            let over = incident.actions.len().saturating_sub(Incident::ACTIONS);
            incident.actions.drain(..over);
        })
    }

    /// A fix for an incident ended: the service was well and proved so, or not. After `escalate_after` that were not, a
    /// person is called and nothing more is begun by itself.
    pub fn fixed(&mut self, id: &str, recovered: bool, escalate_after: u32, now: Timestamp) -> Vec<Verdict> {
        if recovered {
            return Vec::new();
        }
        self.change(id, Weight::AtOnce, now, |incident| {
            incident.failed_fixes = incident.failed_fixes.saturating_add(1);
            if incident.failed_fixes >= escalate_after {
                incident.escalated = true;
                let times = incident.failed_fixes;
                incident.held = Some(format!("{times} fixes failed for this incident: a person is needed"));
            }
        })
    }

    /// Why nothing is done by itself for an incident; None where something may be.
    pub fn held(&mut self, id: &str, why: Option<String>, now: Timestamp) -> Vec<Verdict> {
        match self.known.get(id) {
            Some(known) if known.incident.held != why => {
                self.change(id, Weight::Update, now, |incident| incident.held = why)
            }
            _ => Vec::new(),
        }
    }

    /// Another watcher that shares the store had opened it first: from here on it has that one's id, and its beginning.
    pub fn adopt(&mut self, id: &str, other: Incident, now: Timestamp) -> Vec<Verdict> {
        let Some(mine) = self.known.remove(id) else { return Vec::new() };
        let adopted = known::adopted(&mine.incident, other);
        for case in self.cases.values_mut() {
            if let Some(share) = case.shares.remove(id) {
                case.shares.insert(adopted.id.clone(), share);
            }
        }
        let id = adopted.id.clone();
        self.known.insert(id.clone(), Known::new(adopted, now));
        self.change(&id, Weight::AtOnce, now, |_| {})
    }

    /// A service is watched no more: its share of every incident ends, and it is said that nothing proved it well.
    pub fn drop_service(&mut self, service: &str, now: Timestamp) -> Vec<Verdict> {
        let mut out = Vec::new();
        let case = self.cases.remove(service).unwrap_or_default();
        for id in case.shares.keys() {
            let why = format!("{service} is watched no more; nothing proved that it was well");
            self.leave(id, service, why, now, &mut out);
        }
        out
    }

    /// One by its id: open, or closed within [`Incidents::SAME`].
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Incident>> {
        self.known.get(id).map(|known| &known.incident)
    }

    /// Those that are open, oldest id first.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.known.values().map(|known| &known.incident).filter(|i| i.is_open())
    }

    /// Those that are open and still hold for this service.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Arc<Incident>> {
        let ids = self.cases.get(service).into_iter().flat_map(|case| case.shares.keys());
        ids.filter_map(|id| self.get(id))
    }

    /// A walk has found the incident's root gone for this service, and it is only waited whether it stays so.
    #[must_use]
    pub fn seems_over(&self, id: &str, service: &str) -> bool {
        let share = self.cases.get(service).and_then(|case| case.shares.get(id));
        share.is_some_and(|share| share.well_since.is_some())
    }

    /// Services that have an open incident or something in doubt: the rest costs nothing.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.cases.len()
    }

    /// How many incidents are known: open, or closed within [`Incidents::SAME`].
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Changes an incident, and says so.
    fn change(
        &mut self,
        id: &str,
        weight: Weight,
        now: Timestamp,
        change: impl FnOnce(&mut Incident),
    ) -> Vec<Verdict> {
        let mut out = Vec::new();
        if let Some(known) = self.known.get_mut(id) {
            change(Arc::make_mut(&mut known.incident));
            known.say(weight, now, &mut out);
        }
        out
    }

    fn put_in(&mut self, incident: Incident, now: Timestamp) {
        if incident.is_open() {
            for (service, affected) in incident.services.iter().filter(|(_, a)| a.until.is_none()) {
                let case = self.cases.entry(Arc::from(service.as_str())).or_default();
                case.shares.insert(incident.id.clone(), Share::kept(&incident, affected));
            }
        }
        self.known.insert(incident.id.clone(), Known::new(incident, now));
    }

    /// Forgets what was closed long ago, and doubts that are old.
    fn forget(&mut self, now: Timestamp) {
        let same = known::ms(Self::SAME);
        self.known.retain(|_, k| k.incident.closed_at.is_none_or(|at| now.0 - at.0 <= same));
        let closed = self.known.values().filter_map(|k| k.incident.closed_at);
        let mut closed: Vec<Timestamp> = closed.collect();
        if closed.len() > Self::CLOSED {
            closed.sort_unstable();
            let oldest = closed[closed.len() - Self::CLOSED];
            self.known.retain(|_, k| k.incident.closed_at.is_none_or(|at| at >= oldest));
        }
        self.cases.retain(|_, case| {
            case.doubts.forget(now);
            !(case.shares.is_empty() && case.doubts.is_empty())
        });
    }
}
