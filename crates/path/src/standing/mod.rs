//! The standing connection: one warm session of one service, so that a full server cannot lock pgmedic out and a dying
//! one is noticed at once. It proves nothing of the door: that is walked from outside, beside it.
//!
//! A service that keeps one has at most two sessions on its server: this one, and one more at a time (a walk's or a
//! remedy's), for which [`Standing::second`] is the turn. Not in here: how often it is looked through, and what follows.

mod calm;
mod ears;
mod open;
mod warm;

use crate::clock::Stopwatch;
use crate::evidence::{QueryEvidence, QueryOutcome, RouteEvidence, Seen};
use crate::rooms::startup::probe::Bounds;
use crate::rooms::startup::session::{Limits, Session};
use crate::rooms::startup::wire::NOTICE_LIMIT;
use crate::walk::statement::{self, Introduced, Pace};
pub use ears::Word;
pub use open::Kept;
use open::Opened;
use pgmedic_model::{Ms, Policy, ServerError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
pub use warm::{Odd, look, odd};

/// What the server is asked to end by itself, should pgmedic not be there to do it. A look ends long before.
const BOUNDS: Bounds = Bounds { statement: Duration::from_secs(5), lock: Duration::from_secs(2) };

/// Time after a look's deadline for a CancelRequest.
const AFTER: Duration = Duration::from_millis(250);

/// How much of the server's account a look asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The whole account, every session of it.
    Whole,
    /// Everything but single sessions, which the server counts by itself. The whole account where the session is not a
    /// Postgres backend of its own.
    Brief,
}

/// One warm session of one service. It is opened by [`Standing::keep`] and by nothing else.
#[derive(Default)]
pub struct Standing {
    inner: Mutex<Inner>,
    /// Who uses the session: one at a time.
    turn: tokio::sync::Mutex<()>,
    /// Who has the one other session.
    second: Arc<tokio::sync::Mutex<()>>,
    /// What the warm looks remember of each other.
    calm: Mutex<calm::Calm>,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    /// None while somebody uses it, too.
    session: Option<Session>,
    /// Some for as long as the session lives.
    opened: Option<Arc<Opened>>,
    /// How the last one ended. Gone as soon as another is open.
    ended: Option<Box<RouteEvidence>>,
    /// Why the last attempt to open one came to nothing.
    refused: Option<String>,
    /// What was said unasked since the last look, at most [`NOTICE_LIMIT`].
    said: Vec<ServerError>,
    /// Unasked messages since the last look: without end they are a flood.
    unasked: usize,
    /// What nobody has been told yet.
    untold: Option<Word>,
    ears: Vec<std::task::Waker>,
    /// A backend that was given up and may still be there.
    orphan: Option<open::Orphan>,
}

impl Standing {
    /// One that is not open yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One in the place of another, of the same service by another way: whoever has the one other session, as a remedy that
    /// was begun under the one before, has that of both.
    #[must_use]
    pub fn after(before: &Self) -> Self {
        Self { second: Arc::clone(&before.second), ..Self::default() }
    }

    /// True while it is open, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner().opened.is_some()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What it holds is whole at every moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's account, through the session; else how it ended, or why there is none. A session that does not answer
    /// before the deadline is given up.
    pub async fn look(&self, policy: &Policy, depth: Depth, deadline: Instant) -> Seen<RouteEvidence> {
        let Some(mut desk) = self.take(deadline).await else { return self.absent() };
        desk.live_on(deadline + AFTER);
        let asked = desk.ask(policy, depth, deadline).await;
        desk.done(asked)
    }

    /// Why there is none to look through.
    fn absent(&self) -> Seen<RouteEvidence> {
        let inner = self.inner();
        match (&inner.ended, &inner.refused) {
            _ if inner.opened.is_some() => Seen::NotSeen("the standing session is in use".to_owned()),
            (Some(ended), _) => Seen::Seen(RouteEvidence::clone(ended)),
            (None, Some(why)) => Seen::NotSeen(format!("no standing session: {why}")),
            (None, None) => Seen::NotSeen("no standing session was opened yet".to_owned()),
        }
    }

    /// The session, for as long as what is given lives. None where none is open, or it is not free in time.
    pub(crate) async fn take(&self, deadline: Instant) -> Option<Desk<'_>> {
        let turn = timeout_at(deadline, self.turn.lock()).await.ok()?;
        let mut inner = self.inner();
        let (session, opened) = (inner.session.take()?, Arc::clone(inner.opened.as_ref()?));
        drop(inner);
        Some(Desk { standing: self, session: Some(session), opened, bent: false, _turn: turn })
    }

    /// The same for doing something by it: texts are as every client's are. It is to be given back.
    pub(crate) async fn act(&self, deadline: Instant) -> Option<Desk<'_>> {
        let mut desk = self.take(deadline).await?;
        desk.live_on(deadline + AFTER);
        desk.encode("SET client_encoding TO UTF8", deadline).await.then_some(desk)
    }

    /// The turn of the one other session that the service may have on its server.
    pub(crate) async fn second(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.second.lock().await
    }

    /// Ends the session in good order, and waits for a moment until the server has ended it too.
    pub async fn close(&self) {
        let _turn = self.turn.lock().await;
        let session = {
            let mut inner = self.inner();
            inner.opened = None;
            inner.session.take()
        };
        if let Some(mut session) = session {
            session.live_on(Instant::now() + AFTER);
            session.close_and_see().await;
        }
    }
}

impl Inner {
    /// The session is over: what it came to last, for whoever looks and listens.
    fn over(&mut self, opened: &Opened, mut query: QueryEvidence) {
        query.notices.splice(0..0, std::mem::take(&mut self.said));
        query.notices.truncate(NOTICE_LIMIT);
        if given_up(&query.outcome) {
            self.orphan = opened.orphan();
        }
        let said = query.notices.iter().cloned().chain(match &query.outcome {
            QueryOutcome::Error(error) => Some(error.clone()),
            _ => None,
        });
        self.untold = Some(Word {
            at: query.at.plus(query.elapsed_ms),
            said: said.collect(),
            settings: Vec::new(),
            open: false,
        });
        self.ended = Some(Box::new(opened.without_its_door(query)));
        (self.session, self.opened, self.unasked) = (None, None, 0);
        self.wake();
    }

    fn wake(&mut self) {
        self.ears.drain(..).for_each(std::task::Waker::wake);
    }
}

/// True where the server may not know that the session is over.
const fn given_up(outcome: &QueryOutcome) -> bool {
    matches!(outcome, QueryOutcome::Silent | QueryOutcome::Unreadable(_))
}

/// The standing session while somebody uses it. Dropped, it goes back, or is given up where it is out of step.
pub(crate) struct Desk<'a> {
    standing: &'a Standing,
    session: Option<Session>,
    opened: Arc<Opened>,
    /// Its settings are not those that a look needs.
    bent: bool,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Desk<'_> {
    /// The session itself.
    pub(crate) const fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    fn live_on(&mut self, last: Instant) {
        if let Some(session) = &mut self.session {
            session.live_on(last);
        }
    }

    /// Gives the session back as a look needs it.
    pub(crate) async fn give_back(mut self, deadline: Instant) {
        self.live_on(deadline + AFTER);
        // Where that does not come about, it is given up.
        self.bent = !self.encode("SET client_encoding TO SQL_ASCII", deadline).await;
    }

    /// Sets the encoding, on a session that keeps it. False where it is not set.
    async fn encode(&mut self, sql: &str, deadline: Instant) -> bool {
        if !self.opened.prepared {
            return true;
        }
        self.bent = true;
        let Some(session) = &mut self.session else { return false };
        statement::rows(session.simple_query_within(sql, Limits::SMALL, deadline).await.reply).is_ok()
    }

    async fn ask(&mut self, policy: &Policy, depth: Depth, deadline: Instant) -> QueryEvidence {
        let Some(session) = &mut self.session else { return lost() };
        let pace = Pace { statement: deadline, life: (Duration::from_secs(1), deadline), bounds: BOUNDS };
        let startup = self.opened.route.startup.as_ref();
        let introduced = Introduced {
            version: startup.and_then(|s| s.server_version.as_deref()),
            product: startup.and_then(|s| s.product.as_deref()),
        };
        if self.opened.prepared {
            let asked = match depth {
                Depth::Whole => open::ACCOUNT,
                Depth::Brief => open::BRIEF,
            };
            let query = statement::ask_for_account(session, asked, policy, &pace).await;
            // A pooler may have lent another backend after all.
            let elsewhere = query.refused.as_ref().is_some_and(|e| e.is(open::NO_SUCH_STATEMENT));
            if !elsewhere {
                return query;
            }
        }
        statement::ask(session, introduced, policy, &pace).await
    }

    /// Puts the session back, and gives the evidence.
    fn done(mut self, mut query: QueryEvidence) -> Seen<RouteEvidence> {
        let Some(mut session) = self.session.take() else { return Seen::NotSeen("given up".to_owned()) };
        let mut inner = self.standing.inner();
        if !session.in_step() {
            inner.over(&self.opened, query);
            let ended = inner.ended.as_deref().cloned();
            return ended.map_or_else(|| Seen::NotSeen("it ended".to_owned()), Seen::Seen);
        }
        query.notices.splice(0..0, std::mem::take(&mut inner.said));
        query.notices.truncate(NOTICE_LIMIT);
        session.let_go();
        inner.unasked = 0;
        inner.session = Some(session);
        inner.wake();
        Seen::Seen(RouteEvidence { query: Some(query), ..self.opened.route.clone() })
    }
}

/// What a session came to that was dropped in the midst of an answer.
fn lost() -> QueryEvidence {
    let outcome = QueryOutcome::Unreadable("it was given up in the midst of an answer".to_owned());
    bare(Stopwatch::start(), outcome)
}

/// The end of a session on which nothing was asked.
fn bare(watch: Stopwatch, outcome: QueryOutcome) -> QueryEvidence {
    QueryEvidence {
        at: watch.at,
        elapsed_ms: Ms::default(),
        outcome,
        notices: Vec::new(),
        refused: None,
        received_bytes: 0,
        aftermath: None,
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut inner = self.standing.inner();
        if session.in_step() && !self.bent {
            inner.session = Some(session);
            inner.wake();
        } else {
            inner.over(&self.opened, lost());
        }
    }
}
