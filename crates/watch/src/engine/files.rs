//! What the engine wants of files: what holds its hands, and what the record says. All of it is done on one thread of its own,
//! one thing after the other, for the state folder may be on a disk that hangs: the engine asks, goes on, and is told. Not in
//! here: the files themselves (`hold`, `pgmedic_path::journal`).

use super::{Engine, Inlets, News, Reply};
use crate::hold::{ALL, Hold, HoldError, Holds, Pause, Pauses};
use crate::http::{Declined, Scope};
use pgmedic_model::Timestamp;
use pgmedic_path::journal::incidents::{Incident as Recorded, incidents};
use pgmedic_path::journal::{is_left_open, read_of};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A look at what holds the hands that takes longer than this holds them.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the start waits for the first.
const FIRST: Duration = Duration::from_secs(1);
/// Stack of the thread. A record is read into memory, not onto it.
const STACK: usize = 256 << 10;

/// The record of one service, or why it cannot be read.
pub(super) type Read = Result<Vec<Recorded>, String>;

/// What is wanted.
#[derive(Debug)]
pub(super) enum Want {
    /// To see what holds the hands.
    Holds,
    /// Another pause, for whoever waits for it.
    Change(Change, Scope, Reply),
    /// For which of these services of a closed incident a fix was never closed in the record.
    LeftOpen(String, Vec<Arc<str>>),
    /// What was done for these services.
    Record(BTreeSet<String>),
}

/// What is to become of a pause.
#[derive(Debug)]
pub(super) enum Change {
    /// This one.
    Pause(Pause),
    /// None, says who.
    Resume(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Got {
    Holds(Holds),
    Changed(Holds, Result<String, HoldError>, Reply),
    LeftOpen(String, Vec<Arc<str>>),
    Record(Vec<Read>),
}

/// Where the files are, and when it is.
#[derive(Debug)]
struct Place {
    state: PathBuf,
    home: String,
    hold: Arc<Hold>,
    now: Timestamp,
}

/// The thread, to be asked.
#[derive(Debug)]
pub(super) struct Files {
    /// None where this host gave no thread: then nothing is known, and nothing is done.
    to: Option<Sender<(Place, Want)>>,
    /// Since when a look at what holds the hands is under way.
    looking: Option<Instant>,
    /// It was said that none comes back.
    said: bool,
}

impl Files {
    /// Begins the thread. What comes of what is wanted goes out there.
    pub(super) fn open(out: mpsc::UnboundedSender<Got>) -> Self {
        let (to, wants) = channel();
        let thread = std::thread::Builder::new().name("files".to_owned()).stack_size(STACK);
        let begun = thread.spawn(move || work(&wants, &out));
        Self { to: begun.ok().map(|_| to), looking: None, said: false }
    }
}

fn work(wants: &Receiver<(Place, Want)>, out: &mpsc::UnboundedSender<Got>) {
    while let Ok((place, want)) = wants.recv() {
        let Some(got) = place.get(want) else { continue };
        if out.send(got).is_err() {
            return;
        }
    }
}

impl Place {
    /// Does it. It may block.
    fn get(&self, want: Want) -> Option<Got> {
        Some(match want {
            Want::Holds => Got::Holds(self.hold.look()),
            // Whoever asked was told meanwhile that it was not done.
            Want::Change(_, _, reply) if reply.is_closed() => return None,
            Want::Change(change, scope, reply) => {
                let is_resumed = matches!(change, Change::Resume(_));
                let changed = self.change(change, &scope);
                let holds = self.hold.look();
                let still = holds.held(name_of(&scope)).filter(|_| is_resumed);
                let still = still.map_or_else(String::new, |why| format!("; still held: {why}"));
                Got::Changed(holds, changed.map(|said| said + &still), reply)
            }
            Want::LeftOpen(incident, mut services) => {
                services.retain(|service| is_left_open(&self.state, service, &self.home));
                Got::LeftOpen(incident, services)
            }
            Want::Record(services) => {
                Got::Record(services.iter().map(|service| self.read(service)).collect())
            }
        })
    }

    fn change(&self, change: Change, scope: &Scope) -> Result<String, HoldError> {
        let name = name_of(scope).to_owned();
        match change {
            Change::Pause(pause) => {
                let said = format!("{} paused by {}", whom(scope), pause.phrase());
                let put = |pauses: &mut Pauses| drop(pauses.pauses.insert(name, pause));
                Pauses::change(&self.state, self.now, put).map(|_| said)
            }
            Change::Resume(by) => {
                let mut was = false;
                let take = |pauses: &mut Pauses| was = pauses.pauses.remove(&name).is_some();
                Pauses::change(&self.state, self.now, take)?;
                let word = if was { "resumed by" } else { "not paused, says" };
                Ok(format!("{} {word} {by}", whom(scope)))
            }
        }
    }

    fn read(&self, service: &str) -> Read {
        let entries = read_of(&self.state, service, &self.home);
        entries.map(|entries| incidents(&entries)).map_err(|error| format!("{service}: {error}"))
    }
}

impl Engine {
    /// Has something done with files.
    pub(super) fn want(&mut self, want: Want) {
        let place = Place {
            state: self.settings.state.clone(),
            home: self.settings.home.clone(),
            hold: Arc::clone(&self.hold),
            now: self.clock.now(),
        };
        if matches!(want, Want::Holds) {
            self.files.looking.get_or_insert_with(Instant::now);
        }
        // A reply that is dropped with it says that it was not done.
        let _gone = self.files.to.as_ref().map(|to| to.send((place, want)));
    }

    /// The first look at what holds the hands.
    pub(super) async fn look_first(&mut self, inlets: &mut Inlets) {
        self.want(Want::Holds);
        if let Ok(Some(got)) = tokio::time::timeout(FIRST, inlets.filed.recv()).await {
            self.filed(got);
        }
    }

    /// Has it looked what holds the hands, where no look is under way; one that does not come back holds them.
    pub(super) fn glance(&mut self) {
        match self.files.looking {
            None => self.want(Want::Holds),
            Some(since) if since.elapsed() > PATIENCE && !self.files.said => {
                let state = self.settings.state.display();
                let why = format!("the state folder {state} does not answer");
                self.host.tell(&News::Trouble(&format!(
                    "{why}: it goes on watching, and does nothing by itself until it does"
                )));
                self.files.said = true;
                self.held(Holds::unknown(why, self.clock.now()));
            }
            Some(_) => {}
        }
    }

    /// Takes in what came of it.
    pub(super) fn filed(&mut self, got: Got) {
        match got {
            Got::Holds(holds) => {
                self.files.looking = None;
                if std::mem::take(&mut self.files.said) {
                    let state = self.settings.state.display();
                    self.host.tell(&News::Trouble(&format!("the state folder {state} answers again")));
                }
                self.held(holds);
            }
            Got::Changed(holds, changed, reply) => {
                self.held(holds);
                // Whoever asked may have gone.
                let _gone = reply.send(changed.map_err(|error| Declined::NotNow(error.to_string())));
            }
            Got::LeftOpen(incident, services) => self.settle_record(&incident, services),
            Got::Record(read) => self.complete(read),
        }
    }

    fn held(&mut self, holds: Holds) {
        self.holds = holds;
        let names = self.holds.names();
        let mut state = self.board.state();
        if state.paused != names {
            state.paused = names;
            drop(state);
            self.notify.status(&self.status());
        }
    }
}

fn name_of(scope: &Scope) -> &str {
    match scope {
        Scope::All => ALL,
        Scope::Service(name) => name,
    }
}

fn whom(scope: &Scope) -> &str {
    match scope {
        Scope::All => "every service:",
        Scope::Service(name) => name,
    }
}
