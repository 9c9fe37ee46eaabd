//! Taking up what others left in the outbox: an earlier process, or the receivers of the configuration before. Not in here:
//! what comes in from then on.

use super::letter::{Known, Letter};
use super::receiver::Receiver;
use super::{Alerts, Core, Entry, Happened, OutboxError, Told, keeps};
use crate::incident::{Change, Incident};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What came in before the outbox was read.
#[derive(Debug)]
pub(super) struct Early {
    /// To be told after what the outbox holds. None where nothing waits for that.
    pub(super) entries: Option<Vec<Entry>>,
    /// Incidents of which it is known what was told: the outbox knows no better.
    pub(super) told: BTreeSet<String>,
}

impl Alerts {
    /// The same, in place of another one that still ends: what was told of each incident is carried over, and what comes in
    /// waits until [`Alerts::resume`] has taken up what that one leaves. Else each would be told twice.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        let known = before.0.known().clone();
        let told = known.keys().cloned().collect();
        *self.0.known() = known;
        self.0.last.fetch_max(before.0.last.load(Ordering::Relaxed), Ordering::Relaxed);
        *self.0.early() = Some(Early { entries: Some(Vec::new()), told });
        self
    }

    /// Takes up what an earlier process left: entries that were not delivered, and alerts that are to be kept firing.
    /// `open` are the incidents that are open now: an Alertmanager is told of each that it was not told of, and that each
    /// of which it was told and that is not among them is over. To be called before anything is told, and again where others
    /// left something to this process: what is told meanwhile is neither repeated nor taken to be over.
    ///
    /// # Errors
    /// Where the outbox cannot be read. What is told from here on is told all the same.
    pub async fn resume(&self, open: &[Arc<Incident>]) -> Result<(), OutboxError> {
        self.0.early().get_or_insert_with(|| self.0.as_it_is());
        let read = self.0.read().await;
        for incident in open {
            let known = self.0.known().contains_key(&incident.id);
            if !known {
                let labels = self.0.labels(incident);
                self.0.known().insert(incident.id.clone(), Known::of(incident, labels, None));
            }
        }
        let entries = {
            // Whoever has something told meanwhile waits until what is older has its place.
            let mut guard = self.0.early();
            let early = guard.take().unwrap_or_else(|| self.0.as_it_is());
            let mut lasting: BTreeSet<String> = open.iter().map(|incident| incident.id.clone()).collect();
            lasting.extend(early.told.into_iter().filter(|id| self.0.known().contains_key(id)));
            self.send(early.entries.unwrap_or_default());
            self.0.mend(open, &lasting)
        };
        let kept = if entries.is_empty() { Ok(()) } else { self.0.outbox.put(entries.clone()).await };
        self.take(entries);
        read.and(kept)
    }
}

impl Core {
    /// What is known of what was told, and nothing that waits.
    fn as_it_is(&self) -> Early {
        Early { entries: None, told: self.known().keys().cloned().collect() }
    }

    /// Reads the outbox into the lines.
    async fn read(&self) -> Result<(), OutboxError> {
        let mut after = i64::MIN;
        loop {
            let page = self.outbox.pending(after, 500).await?;
            let Some(last) = page.last().map(|entry| entry.id) else { return Ok(()) };
            self.last.fetch_max(last, Ordering::Relaxed);
            let mut gone = Vec::new();
            for entry in page {
                let Some(desk) = self.desks.iter().find(|desk| desk.receiver.name == entry.receiver) else {
                    gone.push(entry.id);
                    let words = "it is configured no longer; given up".to_owned();
                    let (receiver, incident) = (entry.receiver, entry.incident);
                    (self.hook)(&Happened { receiver, incident, told: Told::Lost, words });
                    continue;
                };
                let Some(letter) = self.letter(&entry) else {
                    gone.push(entry.id);
                    self.count(&desk.receiver, "lost");
                    continue;
                };
                if !self.early().as_ref().is_some_and(|early| early.told.contains(&entry.incident)) {
                    self.remember(&desk.receiver, &letter);
                }
                desk.line().add(self.item(&entry, letter));
            }
            if !gone.is_empty() {
                self.outbox.delivered(gone).await?;
            }
            after = last;
        }
    }

    /// The labels under which Alertmanagers know an incident are those of its entries.
    fn remember(&self, receiver: &Receiver, letter: &Letter) {
        if letter.is_last() {
            self.known().remove(&letter.incident.id);
        } else if keeps(receiver) || !self.known().contains_key(&letter.incident.id) {
            let known = Known::of(&letter.incident, letter.labels.clone(), letter.outgrown.clone());
            self.known().insert(letter.incident.id.clone(), known);
        }
    }

    /// What is taken may be another watcher's: what is not remembered is what it says.
    pub(super) fn inherit(&self, letter: &Letter) {
        let mut known = self.known();
        if letter.is_last() {
            known.remove(&letter.incident.id);
        } else if !known.contains_key(&letter.incident.id) {
            let told = Known::of(&letter.incident, letter.labels.clone(), letter.outgrown.clone());
            known.insert(letter.incident.id.clone(), told);
        }
    }

    /// What Alertmanagers have to be told for what they show to be what is. `lasting` are those that are open, or were opened
    /// meanwhile.
    fn mend(&self, open: &[Arc<Incident>], lasting: &BTreeSet<String>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for desk in self.desks.iter().filter(|desk| keeps(&desk.receiver)) {
            let line = desk.line();
            for incident in open {
                if line.newest(&incident.id).is_some() {
                    continue;
                }
                let known = self.known().get(&incident.id).cloned();
                let labels = known.map_or_else(|| self.labels(incident), |known| known.labels);
                let change = Change::Opened;
                let event = Letter::event(change, incident);
                let incident = Incident { report: None, ..Incident::clone(incident) };
                let letter = Letter { event, change, incident, labels, outgrown: None };
                if self.is_for(&desk.receiver, &letter.incident, &letter) {
                    entries.push(self.entry(&desk.receiver, &letter));
                }
            }
            let over = line.all().filter(|l| !l.is_last() && !lasting.contains(&l.incident.id));
            for letter in over {
                let now = self.clock.now();
                let incident = Incident { closed_at: Some(now), updated_at: now, ..letter.incident.clone() };
                let event = Letter::event(Change::Closed, &incident);
                let letter = Letter { event, change: Change::Closed, incident, ..Letter::clone(letter) };
                entries.push(self.entry(&desk.receiver, &letter));
            }
        }
        for entry in entries.iter().filter(|entry| !lasting.contains(&entry.incident)) {
            self.known().remove(&entry.incident);
        }
        entries
    }
}
