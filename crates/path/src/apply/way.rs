//! The way in by which sessions are signalled and limits raised: one that was admitted and has the right. Not in here: what
//! is said on it.

use super::{BRIEF, Came};
use crate::evidence::Evidence;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::proxy::silence::by_a_pooler;
use crate::rooms::startup::probe::Bounds;
use crate::rooms::startup::session::{Reply, Session};
use crate::route;
use crate::service::Service;
use crate::standing::{Desk, Standing};
use crate::unrecognised::break_of;
use pgmedic_model::{StepOutcome, Target};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// A way worth trying.
enum Choice<'a> {
    /// Through the session that stands open already: no slot has to be free for it.
    Standing(&'a Standing),
    /// By a session opened for this.
    Walked(&'a Target),
}

/// The ways worth trying, those first that the walk found admitted and in the right, the standing session before all. A
/// pooler's door is the last: what it shows of a session are its own.
fn choices<'a>(
    service: &'a Service,
    e: &Evidence,
    right: impl Fn(&crate::sql::facts::Me) -> bool,
) -> Vec<Choice<'a>> {
    let pooled = by_a_pooler(e).is_some() || e.pooler.get().is_some();
    let in_front = |name: &str| name == "front" || (name == "standing" && service.direct.is_none());
    let of = |name: &str| match name {
        "front" => Some(Choice::Walked(&service.target)),
        "direct" => service.direct.as_ref().map(Choice::Walked),
        "standing" => service.standing.as_deref().map(Choice::Standing),
        _ => service.rescue.as_ref().map(Choice::Walked),
    };
    let mut ways: Vec<((bool, bool), Choice<'_>)> = e
        .routes()
        .filter(|(_, route)| route.facts().is_some_and(|f| right(&f.me)))
        .filter_map(|(name, _)| Some(((pooled && in_front(name), name != "standing"), of(name)?)))
        .collect();
    ways.sort_by_key(|(rank, _)| *rank);
    let mut choices: Vec<Choice<'_>> = ways.into_iter().map(|(_, choice)| choice).collect();
    // Not tried by a walk that was let in the ordinary way.
    let tried = |r: &&Target| choices.iter().any(|c| matches!(c, Choice::Walked(target) if target == r));
    if let Some(rescue) = service.rescue.as_ref().filter(|r| !tried(r)) {
        choices.push(Choice::Walked(rescue));
    }
    choices
}

/// An admitted session while an action is done by it.
pub(super) struct Hold<'a> {
    by: By<'a>,
    /// The service's one other session, where it keeps a standing one and this is another.
    _second: Option<MutexGuard<'a, ()>>,
}

enum By<'a> {
    Own(Session),
    Standing(Desk<'a>),
}

/// An admitted session on the first way that leads to one.
///
/// # Errors
/// Where none does: why the last one did not.
pub(super) async fn open<'a>(
    service: &'a Service,
    e: &Evidence,
    right: impl Fn(&crate::sql::facts::Me) -> bool,
) -> Result<Hold<'a>, Came> {
    let resolver = Resolver::of(service);
    let bounds = Bounds { statement: BRIEF / 2, lock: BRIEF / 4 };
    let mut why = "no way in has the right: configure `rescue`, or grant pg_signal_backend".to_owned();
    let mut second = None;
    for choice in choices(service, e, right) {
        let target = match choice {
            Choice::Standing(standing) => match standing.act(Instant::now() + BRIEF).await {
                Some(desk) => return Ok(Hold { by: By::Standing(desk), _second: None }),
                None => continue,
            },
            Choice::Walked(target) => target,
        };
        if let (Some(standing), None) = (&service.standing, &second) {
            second = Some(standing.second().await);
        }
        let (walked, session) = route::open(target, &resolver, Some(bounds), Instant::now() + BRIEF).await;
        match session {
            Some(session) => return Ok(Hold { by: By::Own(session), _second: second }),
            None => {
                let said = break_of(&walked).map_or_else(|| "no session".to_owned(), |b| b.said);
                why = format!("{}: {said}", walked.address);
            }
        }
    }
    Err(Came::to(StepOutcome::Refused, why))
}

impl Hold<'_> {
    /// Asks.
    pub(super) async fn ask(&mut self, sql: &str, deadline: Instant) -> Reply {
        let session = match &mut self.by {
            By::Own(session) => Some(session),
            By::Standing(desk) => desk.session(),
        };
        match session {
            Some(session) => session.simple_query(sql, deadline).await.reply,
            None => Reply::Closed,
        }
    }

    /// Ends it, or gives the standing session back.
    pub(super) async fn close(self) {
        match self.by {
            By::Own(mut session) => {
                session.live_on(Instant::now() + BRIEF);
                session.close_and_see().await;
            }
            By::Standing(desk) => desk.give_back(Instant::now() + BRIEF).await,
        }
    }
}

/// The rows of an answer.
///
/// # Errors
/// What came in their place, in words.
pub(super) fn rows(reply: Reply) -> Result<Vec<Vec<Option<String>>>, String> {
    match reply {
        Reply::Rows { rows, .. } => Ok(rows),
        Reply::Error(error) => Err(error.to_string()),
        Reply::Closed => Err("the server hung up".to_owned()),
        Reply::Silent => Err("no answer in time".to_owned()),
        Reply::Unreadable(why) => Err(why),
    }
}
