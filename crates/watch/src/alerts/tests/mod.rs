//! Delivery under paused time, to receivers that answer as a script says. Real HTTP is in `tests/alerts.rs` of the crate, a
//! real Alertmanager in `tests/alertmanager.rs`.

mod alertmanagers;
mod filters;
mod rendering;
mod restarts;
mod waits;

use super::deliver::{Carried, Carrier};
use super::receiver::{Receiver, kind_name};
use super::render::Message;
use super::sample::{self, OPENED};
use super::{Alerts, Entry, Happened, Hook, InMemory, Outbox as _, Plan, Told, Tuning};
use crate::board::Board;
use crate::clock::Clock;
use crate::incident::{Change, Incident};
use crate::settings::{AlertKind, AlertTo};
use pgmedic_model::{Secret, Severity};
use pgmedic_path::http::post::{Answered, Unanswered};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// What a scripted receiver does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Answers(u16),
    AsksToWait(u16, u64),
    Hangs,
    IsAway,
}

/// One request that reached a receiver.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// Since the beginning of the test.
    pub(super) at: Duration,
    pub(super) to: AlertKind,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| *header == name).map_or("", |(_, value)| value)
    }
}

type Script = dyn Fn(AlertKind, Duration, &Value) -> Does + Send + Sync;

/// A world with scripted receivers, whose outbox outlives its `Alerts`.
pub(super) struct World {
    began: Instant,
    clock: Clock,
    pub(super) outbox: Arc<InMemory>,
    pub(super) board: Board,
    posts: Arc<Mutex<Vec<Post>>>,
    happened: Arc<Mutex<Vec<Happened>>>,
    script: Arc<Script>,
    pub(super) plan: Plan,
}

struct Scripted {
    began: Instant,
    posts: Arc<Mutex<Vec<Post>>>,
    script: Arc<Script>,
}

impl Carrier for Scripted {
    fn carry<'a>(&'a self, to: &'a Receiver, message: &'a Message, deadline: Instant) -> Carried<'a> {
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let at = self.began.elapsed();
        let does = (self.script)(to.kind, at, &body);
        let headers = message.headers.clone();
        self.posts.lock().unwrap().push(Post { at, to: to.kind, headers, body });
        let answer = |status, retry_after| Ok(Answered { status, retry_after, words: String::new() });
        Box::pin(async move {
            match does {
                Does::Answers(status) => answer(status, None),
                Does::AsksToWait(status, seconds) => answer(status, Some(seconds.to_string())),
                Does::IsAway => Err(Unanswered("nothing listens there".to_owned())),
                Does::Hangs => {
                    sleep_until(deadline).await;
                    Err(Unanswered("it did not answer in time".to_owned()))
                }
            }
        })
    }
}

/// A receiver of each kind.
pub(super) fn to(kind: AlertKind) -> AlertTo {
    let url = format!("http://{}.internal:1/hook", kind_name(kind));
    AlertTo {
        kind,
        url: Secret::new(url),
        key: Some(Secret::new("key")),
        from: Severity::Warning,
        only: BTreeMap::new(),
    }
}

impl World {
    pub(super) fn new(
        kinds: &[AlertKind],
        script: impl Fn(AlertKind, Duration, &Value) -> Does + Send + Sync + 'static,
    ) -> Self {
        let to = kinds.iter().map(|kind| to(*kind)).collect();
        Self {
            began: Instant::now(),
            clock: Clock::from(OPENED),
            outbox: Arc::default(),
            board: Board::default(),
            posts: Arc::default(),
            happened: Arc::default(),
            script: Arc::new(script),
            plan: Plan { to, ..Plan::default() },
        }
    }

    /// A new process, that has taken up nothing yet.
    pub(super) fn alerts(&self) -> Alerts {
        self.alerts_on(Arc::clone(&self.outbox) as Arc<dyn super::Outbox>)
    }

    pub(super) fn alerts_on(&self, outbox: Arc<dyn super::Outbox>) -> Alerts {
        let happened = Arc::clone(&self.happened);
        let hook: Hook = Arc::new(move |what: &Happened| happened.lock().unwrap().push(what.clone()));
        let (began, posts, script) = (self.began, Arc::clone(&self.posts), Arc::clone(&self.script));
        let carrier = Box::new(Scripted { began, posts, script });
        let board = self.board.clone();
        Alerts::carried(self.plan.clone(), outbox, board, (self.clock, hook), Tuning::default(), carrier)
            .unwrap()
    }

    /// What a reload makes of those before.
    pub(super) fn reloaded(&self, before: &Alerts) -> Alerts {
        self.alerts().after(before)
    }

    pub(super) fn posts(&self, kind: AlertKind) -> Vec<Post> {
        self.posts.lock().unwrap().iter().filter(|post| post.to == kind).cloned().collect()
    }

    pub(super) fn happened(&self, told: Told) -> Vec<Happened> {
        self.happened.lock().unwrap().iter().filter(|what| what.told == told).cloned().collect()
    }

    pub(super) async fn kept(&self) -> Vec<Entry> {
        self.outbox.pending(i64::MIN, usize::MAX).await.unwrap()
    }

    pub(super) fn counted(&self, kind: AlertKind, word: &'static str) -> u64 {
        self.board.state().own.alerts.get(&(kind_name(kind), word)).copied().unwrap_or(0)
    }
}

/// A process that delivers.
pub(super) struct Process {
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

impl Process {
    pub(super) fn of(alerts: &Alerts) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let alerts = alerts.clone();
        let run = tokio::spawn(async move {
            alerts.run(async { stopped.await.unwrap_or(()) }).await;
        });
        Self { stop, run }
    }

    /// SIGTERM. Gives how long it took.
    pub(super) async fn end(self) -> Duration {
        let from = Instant::now();
        let _ = self.stop.send(());
        self.run.await.unwrap();
        from.elapsed()
    }

    /// kill -9.
    pub(super) fn kill(self) {
        self.run.abort();
    }
}

/// The changes that webhook posts told, with their summaries.
pub(super) fn told(posts: &[Post]) -> Vec<(String, String)> {
    let one = |post: &Post| {
        let summary = post.body["summary"].as_str().unwrap().to_owned();
        (post.header("x-pgmedic-change").to_owned(), summary)
    };
    posts.iter().map(one).collect()
}

/// Lets `seconds` go by.
pub(super) async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// Tells that the sample incident was opened; gives it.
pub(super) async fn opened(alerts: &Alerts) -> Incident {
    let incident = sample::incident();
    alerts.tell(Change::Opened, &incident).await.unwrap();
    incident
}
