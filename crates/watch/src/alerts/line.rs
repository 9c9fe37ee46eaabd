//! What waits for one receiver, in which order and until when. Pure: time comes in, writes and requests go out. For each
//! incident the oldest goes first and alone; what a newer one says as well is not said twice.

use super::answer::{Blame, Verdict};
use super::letter::Letter;
use super::tuning::{Tuning, back_off};
use crate::incident::Change;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Incidents that wait in memory for one receiver. Those beyond it wait in the outbox.
pub(super) const LONGEST: usize = if cfg!(test) { 500 } else { 5000 };
/// Ids that are remembered for a while after they were done with: more than one reading of the outbox.
const DONE: usize = 1024;
/// Alerts in one request to an Alertmanager.
const BATCH: usize = 50;

/// One thing to tell.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its id in the outbox.
    pub(super) id: i64,
    pub(super) letter: Arc<Letter>,
    /// Attempts that failed.
    pub(super) tries: u32,
    /// Not before.
    pub(super) due: Instant,
    /// Given up after.
    pub(super) until: Instant,
    /// Ids of those that this one stands for as well.
    with: Vec<i64>,
    /// It was told, and is told again to keep it firing.
    said: bool,
    /// Whom the last failure was blamed on.
    blame: Option<Blame>,
    /// It was refused among others: to be told by itself.
    alone: bool,
    /// Since when the receiver's setup has kept it back.
    barred: Option<Instant>,
}

impl Item {
    /// One that was never tried, or not by this process.
    pub(super) const fn new(id: i64, letter: Arc<Letter>, tries: u32, due: Instant, until: Instant) -> Self {
        Self {
            id,
            letter,
            tries,
            due,
            until,
            with: Vec::new(),
            said: false,
            blame: None,
            alone: false,
            barred: None,
        }
    }

    fn ids(self) -> impl Iterator<Item = i64> {
        std::iter::once(self.id).chain(self.with)
    }
}

/// What waits of one incident.
#[derive(Debug, Default)]
struct Thread {
    queue: VecDeque<Item>,
    /// The first is being told.
    in_hand: bool,
}

impl Thread {
    fn has(&self, id: i64) -> bool {
        self.queue.iter().any(|item| item.id == id || item.with.contains(&id))
    }

    /// What is being told is newer than that, and cannot be taken back.
    fn tells_newer_than(&self, id: i64) -> bool {
        self.in_hand && self.queue.front().is_some_and(|first| first.id > id)
    }

    /// Those newer than that, taken out, but for one that is being told.
    fn newer_than(&mut self, id: i64) -> Vec<Item> {
        let first = usize::from(self.in_hand);
        let (newer, older) = self.queue.drain(first..).partition(|item| item.id > id);
        self.queue.extend::<Vec<Item>>(older);
        newer
    }
}

/// The receiver does not take anything just now.
#[derive(Clone, Copy, Debug)]
struct Unwell {
    until: Instant,
    failures: u32,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Tell these: one, or several to an Alertmanager.
    Tell(Vec<(i64, Arc<Letter>)>),
    /// Nothing before this time, if any, unless something comes in or comes back.
    Wait(Option<Instant>),
}

/// What became of one item after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// Told for the first time.
    Sent,
    /// Told again, to keep it firing.
    Repeated,
    /// To be tried again after this, having been tried so often.
    Retried { wait: Duration, tries: u32 },
    /// Given up.
    Lost,
}

/// One receiver's.
#[derive(Debug)]
pub(super) struct Line {
    threads: BTreeMap<String, Thread>,
    unwell: Option<Unwell>,
    /// Not before: the receiver takes so many in a time.
    spaced: Option<Instant>,
    in_hand: usize,
    at_once: usize,
    /// What it is told is kept firing, and only the newest counts (an Alertmanager).
    keeps: bool,
    /// Slack's.
    space: Duration,
    /// Ids that may leave the outbox.
    pub(super) gone: Vec<i64>,
    /// Ids that were done with lately, each with its incident: whoever reads the outbox may have read them before.
    done: VecDeque<(i64, String)>,
    /// From this id on entries wait in the outbox alone.
    pub(super) beyond: Option<i64>,
}

impl Line {
    pub(super) const fn new(at_once: usize, keeps: bool, space: Duration) -> Self {
        Self {
            threads: BTreeMap::new(),
            unwell: None,
            spaced: None,
            in_hand: 0,
            at_once,
            keeps,
            space,
            gone: Vec::new(),
            done: VecDeque::new(),
            beyond: None,
        }
    }

    /// Incidents that something waits of.
    pub(super) fn len(&self) -> usize {
        self.threads.len()
    }

    /// The newest that is to be told of an incident.
    pub(super) fn newest(&self, incident: &str) -> Option<&Arc<Letter>> {
        self.threads.get(incident)?.queue.back().map(|item| &item.letter)
    }

    /// The newest of each incident.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Letter>> {
        self.threads.values().filter_map(|thread| thread.queue.back()).map(|item| &item.letter)
    }

    /// Takes one in, whatever was taken in before it: one that is here already, or was until a moment ago, is none, and one that
    /// is older than others of its incident comes before them. False where it has to wait in the outbox alone.
    pub(super) fn add(&mut self, item: Item) -> bool {
        let incident = &item.letter.incident.id;
        let is_full = self.threads.len() >= LONGEST;
        let thread = self.threads.get_mut(incident);
        if self.beyond.is_some() || (thread.is_none() && is_full) {
            self.beyond.get_or_insert(item.id);
            return false;
        }
        let is_done = self.done.iter().any(|(id, of)| *id == item.id && of == incident);
        if is_done || thread.as_ref().is_some_and(|thread| thread.has(item.id)) {
            return true;
        }
        if thread.as_ref().is_some_and(|thread| thread.tells_newer_than(item.id)) {
            self.done_with([item]);
            return true;
        }
        let newer = thread.map(|thread| thread.newer_than(item.id)).unwrap_or_default();
        self.take_in(item);
        newer.into_iter().for_each(|item| self.take_in(item));
        true
    }

    /// These may leave the outbox.
    fn done_with(&mut self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            let incident = item.letter.incident.id.clone();
            self.forget(&incident, item.ids());
        }
    }

    /// These ids may leave the outbox.
    fn forget(&mut self, incident: &str, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            self.gone.push(id);
            self.done.push_back((id, incident.to_owned()));
        }
        self.done.drain(..self.done.len().saturating_sub(DONE));
    }

    /// Takes one in that is the newest of its incident, or of those that are not being told.
    fn take_in(&mut self, mut item: Item) {
        let thread = self.threads.entry(item.letter.incident.id.clone()).or_default();
        let waiting = usize::from(thread.in_hand)..;
        let change = item.letter.change;
        if self.keeps {
            // Each says the whole state: whatever was not sent yet is overtaken.
            let overtaken: Vec<Item> = thread.queue.drain(waiting).collect();
            thread.queue.push_back(item);
            return self.done_with(overtaken);
        }
        let unsaid = |change: Change| move |waiting: &Item| waiting.letter.change == change;
        let mut later: VecDeque<Item> = thread.queue.drain(waiting).collect();
        // An update that was not sent says nothing that the newer one does not; a close that was not sent never was, where
        // it is open again.
        let overtaken = |waiting: &Item| {
            unsaid(Change::Updated)(waiting) || (change != Change::Closed && unsaid(Change::Closed)(waiting))
        };
        let was_closed = later.iter().any(unsaid(Change::Closed));
        let (old, kept): (VecDeque<_>, VecDeque<_>) = later.drain(..).partition(overtaken);
        thread.queue.extend(kept);
        let first =
            thread.queue.iter_mut().skip(usize::from(thread.in_hand)).find(|w| unsaid(Change::Opened)(w));
        match first {
            // What opened is told as it is now; the event stays the one that may have arrived already.
            Some(opened) if change != Change::Closed => {
                let letter = &item.letter;
                opened.letter = Arc::new(Letter {
                    event: opened.letter.event.clone(),
                    change: Change::Opened,
                    ..Letter::clone(letter)
                });
                let incident = item.letter.incident.id.clone();
                let overtaken = std::mem::replace(&mut opened.with, item.ids().collect());
                self.forget(&incident, overtaken);
            }
            _ => {
                if was_closed && change == Change::Opened {
                    item.letter = Arc::new(Letter { change: Change::Updated, ..Letter::clone(&item.letter) });
                }
                thread.queue.push_back(item);
            }
        }
        self.done_with(old);
    }

    /// What to tell now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let (at_once, not_before) = match self.unwell {
            Some(unwell) => (1, Some(unwell.until)),
            None => (self.at_once, None),
        };
        if self.in_hand >= at_once {
            return Next::Wait(None);
        }
        if let Some(at) = not_before.max(self.spaced).filter(|at| *at > now) {
            return Next::Wait((!self.threads.is_empty()).then_some(at));
        }
        let waiting = self.threads.iter().filter(|(_, thread)| !thread.in_hand);
        let firsts =
            || waiting.clone().filter_map(|(incident, thread)| Some((thread.queue.front()?, incident)));
        let due = || firsts().filter(|(first, _)| first.due <= now);
        let Some((first, incident)) = due().min_by_key(|(first, _)| first.id) else {
            return Next::Wait(firsts().map(|(first, _)| first.due).min());
        };
        let mut chosen = vec![incident.clone()];
        if self.keeps && !first.alone {
            let mut rest: Vec<_> = due().filter(|(other, _)| !other.alone && other.id != first.id).collect();
            rest.sort_unstable_by_key(|(other, _)| other.id);
            chosen.extend(rest.into_iter().take(BATCH - 1).map(|(_, incident)| incident.clone()));
        }
        self.in_hand += 1;
        self.spaced = (!self.space.is_zero()).then(|| now + self.space);
        let mut told = Vec::with_capacity(chosen.len());
        for incident in chosen {
            let Some(thread) = self.threads.get_mut(&incident) else { continue };
            let Some(first) = thread.queue.front() else { continue };
            thread.in_hand = true;
            told.push((first.id, Arc::clone(&first.letter)));
        }
        Next::Tell(told)
    }

    /// What became of what was told: for each item its id, the letter, and what. Ids that may leave the outbox are in
    /// [`Line::gone`].
    pub(super) fn back(
        &mut self,
        told: &[(i64, Arc<Letter>)],
        verdict: &Verdict,
        now: Instant,
        tuning: &Tuning,
    ) -> Vec<(i64, Arc<Letter>, Became)> {
        self.in_hand = self.in_hand.saturating_sub(1);
        let longest = if self.keeps { tuning.longest_kept } else { tuning.longest };
        match verdict {
            Verdict::Sent | Verdict::Refused(_) => self.well(now),
            Verdict::Later { after, .. } => {
                let failures = self.unwell.map_or(0, |unwell| unwell.failures) + 1;
                let wait = after.unwrap_or(Duration::ZERO).max(back_off(failures, tuning.first, longest));
                self.unwell = Some(Unwell { until: now + wait, failures });
            }
        }
        let among = told.len() > 1;
        let each = told.iter().map(|(id, letter)| {
            let became = self.one(*id, letter, verdict, (now, among, longest), tuning);
            (*id, Arc::clone(letter), became)
        });
        each.collect()
    }

    fn one(
        &mut self,
        id: i64,
        letter: &Arc<Letter>,
        verdict: &Verdict,
        (now, among, longest): (Instant, bool, Duration),
        tuning: &Tuning,
    ) -> Became {
        let incident = &letter.incident.id;
        let Some(thread) = self.threads.get_mut(incident) else { return Became::Lost };
        thread.in_hand = false;
        let Some(mut item) = thread.queue.pop_front_if(|item| item.id == id) else { return Became::Lost };
        let overtaken = self.keeps && !thread.queue.is_empty();
        let (became, again) = match verdict {
            Verdict::Sent => {
                let became = if item.said { Became::Repeated } else { Became::Sent };
                item.said = true;
                (item.tries, item.blame, item.barred, item.alone) = (0, None, None, false);
                item.due = now + tuning.refresh;
                if item.letter.outgrown.is_some() {
                    item.letter = Arc::new(Letter { outgrown: None, ..Letter::clone(&item.letter) });
                }
                (became, self.keeps && !item.letter.is_last())
            }
            Verdict::Refused(_) if among => {
                item.alone = true;
                (Became::Retried { wait: Duration::ZERO, tries: item.tries }, true)
            }
            Verdict::Refused(_) => (Became::Lost, false),
            Verdict::Later { after, blame, .. } => {
                item.tries = item.tries.saturating_add(1);
                item.blame = Some(*blame);
                let barred = (*blame == Blame::Setup).then(|| item.barred.unwrap_or(now));
                item.barred = barred;
                let wait = after.unwrap_or(Duration::ZERO).max(back_off(item.tries, tuning.first, longest));
                item.due = now + wait;
                let firing = self.keeps && !item.letter.is_last();
                let late = !firing && now >= item.until;
                let barred_long = !firing && barred.is_some_and(|since| now >= since + tuning.patience);
                let lost = late || barred_long;
                (if lost { Became::Lost } else { Became::Retried { wait, tries: item.tries } }, !lost)
            }
        };
        let over = if again && !overtaken {
            thread.queue.push_front(item);
            None
        } else {
            Some(item)
        };
        if thread.queue.is_empty() {
            self.threads.remove(incident);
        }
        self.done_with(over);
        became
    }

    /// The receiver is there again: whatever waited for it goes now.
    fn well(&mut self, now: Instant) {
        if self.unwell.take().is_none() {
            return;
        }
        for item in self.threads.values_mut().filter_map(|thread| thread.queue.front_mut()) {
            if item.blame == Some(Blame::Away) || item.said {
                item.due = item.due.min(now);
            }
        }
    }
}
