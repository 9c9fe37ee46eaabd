//! Delivery: for each receiver one task that tells it what its line holds, and keeps the outbox in step. A receiver that
//! hangs holds up its own alone. Not in here: the order and the waits (`line`), the requests (`render`).

use super::answer::{Verdict, verdict};
use super::letter::Letter;
use super::line::{Became, Item, Line, Next};
use super::receiver::{Receiver, kind_name};
use super::render::{self, Message, Setting};
use super::{Core, Entry, Happened, Told};
use pgmedic_model::Timestamp;
use pgmedic_path::http::post::{Answered, Roots, Unanswered, post};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// Entries read from the outbox at once.
const PAGE: usize = 500;

/// What carries a request to a receiver.
pub(super) trait Carrier: Send + Sync {
    /// Carries one, at most until the deadline.
    fn carry<'a>(&'a self, to: &'a Receiver, message: &'a Message, deadline: Instant) -> Carried<'a>;
}

/// What came of it.
pub(super) type Carried<'a> = Pin<Box<dyn Future<Output = Result<Answered, Unanswered>> + Send + 'a>>;

/// HTTP.
#[derive(Debug, Default)]
pub(super) struct Http(Roots);

impl Carrier for Http {
    fn carry<'a>(&'a self, to: &'a Receiver, message: &'a Message, deadline: Instant) -> Carried<'a> {
        Box::pin(async move {
            let headers: Vec<_> =
                message.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            post(&to.place, &headers, &message.body, &self.0, deadline).await
        })
    }
}

/// A receiver and what waits for it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) receiver: Receiver,
    line: Mutex<Line>,
    pub(super) wake: Notify,
}

/// Ids and letters that are told together.
type Bundle = Vec<(i64, Arc<Letter>)>;

impl Desk {
    pub(super) fn new(receiver: Receiver, line: Line) -> Self {
        Self { receiver, line: Mutex::new(line), wake: Notify::new() }
    }

    /// The line, for a moment. Nothing is awaited while it is held.
    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Serves one receiver until `stop`, and what is in hand for a moment longer.
    pub(super) async fn serve(self: Arc<Self>, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut in_hand: HashMap<task::Id, Bundle> = HashMap::new();
        loop {
            self.keep_up(&desk).await;
            let next = desk.line().next(Instant::now());
            let until = match next {
                Next::Tell(bundle) => {
                    let attempt = Arc::clone(&self).attempt(Arc::clone(&desk), bundle.clone());
                    in_hand.insert(tasks.spawn(attempt).id(), bundle);
                    continue;
                }
                Next::Wait(until) => until,
            };
            let pause = async {
                match until {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let stopped = async {
                // An error is the end as well: nobody is left who could say stop.
                let _ = stop.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                () = desk.wake.notified() => {}
                Some(ended) = tasks.join_next_with_id() => self.ended(&desk, &mut in_hand, ended).await,
                () = pause => {}
                () = stopped => break,
            }
        }
        let rest = async {
            while let Some(ended) = tasks.join_next_with_id().await {
                self.ended(&desk, &mut in_hand, ended).await;
            }
            self.keep_up(&desk).await;
        };
        // What is not through by then is told again by the next process: its entry is still in the outbox.
        let _ = timeout(self.tuning.ending, rest).await;
    }

    /// One attempt.
    async fn attempt(self: Arc<Self>, desk: Arc<Desk>, bundle: Bundle) -> Verdict {
        let now = self.clock.now();
        let lasting = self.tuning.refresh.saturating_mul(self.tuning.refreshes);
        let setting = Setting {
            now,
            firing_until: now.plus(lasting.into()),
            external_url: self.plan.external_url.as_deref(),
            key: desk.receiver.key.as_ref(),
        };
        let letters: Vec<&Letter> = bundle.iter().map(|(_, letter)| letter.as_ref()).collect();
        let Some(message) = render::message(desk.receiver.kind, &letters, &setting) else {
            return Verdict::Sent;
        };
        let deadline = Instant::now() + self.tuning.attempt;
        verdict(&self.carrier.carry(&desk.receiver, &message, deadline).await, self.clock.now())
    }

    /// Takes an attempt's end in, and writes down what became of each.
    async fn ended(
        &self,
        desk: &Desk,
        in_hand: &mut HashMap<task::Id, Bundle>,
        ended: Result<(task::Id, Verdict), JoinError>,
    ) {
        let (id, verdict) = ended.unwrap_or_else(|error| {
            (error.id(), Verdict::Refused("telling it failed within pgmedic (please report it)".to_owned()))
        });
        let Some(bundle) = in_hand.remove(&id) else { return };
        let became = desk.line().back(&bundle, &verdict, Instant::now(), &self.tuning);
        for (id, letter, became) in became {
            if let Became::Retried { wait, tries } = became
                && !wait.is_zero()
            {
                let due = self.clock.now().plus(wait.into());
                self.written("noting a retry", self.outbox.failed(id, tries, due).await);
            }
            self.say(&desk.receiver, &letter.incident.id, &became, &verdict);
        }
    }

    /// Counts, and tells the hook.
    fn say(&self, receiver: &Receiver, incident: &str, became: &Became, verdict: &Verdict) {
        let (told, word, what) = match became {
            Became::Repeated => return,
            Became::Sent => (Told::Sent, "sent", "told".to_owned()),
            Became::Retried { wait, .. } => {
                (Told::Retried, "retried", format!("trying again in {}", pgmedic_model::Ms::from(*wait)))
            }
            Became::Lost => (Told::Lost, "lost", "given up".to_owned()),
        };
        self.count(receiver, word);
        let words = match verdict {
            Verdict::Sent => what,
            Verdict::Later { why, .. } | Verdict::Refused(why) => format!("{}; {what}", receiver.masked(why)),
        };
        (self.hook)(&Happened {
            receiver: receiver.name.clone(),
            incident: incident.to_owned(),
            told,
            words,
        });
    }

    /// One more in the daemon's own counters.
    pub(super) fn count(&self, receiver: &Receiver, word: &'static str) {
        *self.board.state().own.alerts.entry((kind_name(receiver.kind), word)).or_default() += 1;
    }

    /// Drops from the outbox what may go, and takes up what waits in it alone once there is room.
    async fn keep_up(&self, desk: &Desk) {
        let gone = std::mem::take(&mut desk.line().gone);
        if !gone.is_empty() {
            self.written("dropping what was delivered", self.outbox.delivered(gone).await);
        }
        let from = {
            let mut line = desk.line();
            if line.len() > super::line::LONGEST / 2 { None } else { line.beyond.take() }
        };
        let Some(mut after) = from.map(|id| id - 1) else { return };
        loop {
            let page = match self.outbox.pending(after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    desk.line().beyond.get_or_insert(after + 1);
                    return self.written("reading it", Err(error));
                }
            };
            let Some(last) = page.last().map(|entry| entry.id) else { return };
            for entry in page.iter().filter(|entry| entry.receiver == desk.receiver.name) {
                let Some(letter) = self.letter(entry) else { continue };
                if !desk.line().add(self.item(entry, letter)) {
                    return;
                }
            }
            after = last;
        }
    }

    /// What an entry says. None, and said, where it cannot be read: another version wrote it, or a disk broke it.
    pub(super) fn letter(&self, entry: &Entry) -> Option<Arc<Letter>> {
        match serde_json::from_str(&entry.body) {
            Ok(letter) => Some(Arc::new(letter)),
            Err(error) => {
                let words = format!("an entry of the outbox cannot be read ({error}); given up");
                (self.hook)(&Happened {
                    receiver: entry.receiver.clone(),
                    incident: entry.incident.clone(),
                    told: Told::Lost,
                    words,
                });
                None
            }
        }
    }

    /// An entry in the line's terms.
    pub(super) fn item(&self, entry: &Entry, letter: Arc<Letter>) -> Item {
        let (now, wall) = (Instant::now(), self.clock.now());
        let span = |from: Timestamp, to: Timestamp| {
            Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
        };
        // A clock that was set back must not hold anything for longer than a wait ever is.
        let due = now + span(wall, entry.due).min(self.tuning.longest.max(self.tuning.patience));
        let until = now + self.tuning.give_up.saturating_sub(span(entry.put_at, wall));
        Item::new(entry.id, letter, entry.tries, due, until)
    }

    /// Says where the outbox did not take something. What is told does not depend on it.
    pub(super) fn written(&self, what: &str, written: Result<(), super::OutboxError>) {
        if let Err(error) = written {
            let words =
                format!("{error} ({what}); what is told goes on, and may be told twice after a restart");
            let told = Told::Retried;
            (self.hook)(&Happened { receiver: String::new(), incident: String::new(), told, words });
        }
    }
}
