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
use crate::unrecognised::break_of;
use pgmedic_model::{StepOutcome, Target};
use tokio::time::Instant;

/// The ways worth trying, those first that the walk found admitted and in the right. A pooler's door is the last: what it
/// shows of a session are its own.
fn targets<'a>(
    service: &'a Service,
    e: &Evidence,
    right: impl Fn(&crate::sql::facts::Me) -> bool,
) -> Vec<&'a Target> {
    let of = |name: &str| match name {
        "front" => Some(&service.target),
        "direct" => service.direct.as_ref(),
        _ => service.rescue.as_ref(),
    };
    let pooled = by_a_pooler(e).is_some() || e.pooler.get().is_some();
    let mut ways: Vec<(u8, &Target)> = e
        .routes()
        .filter(|(_, route)| route.facts().is_some_and(|f| right(&f.me)))
        .filter_map(|(name, _)| Some((u8::from(name == "front" && pooled), of(name)?)))
        .collect();
    ways.sort_by_key(|(rank, _)| *rank);
    let mut targets: Vec<&Target> = ways.into_iter().map(|(_, target)| target).collect();
    // Not tried by a walk that was let in the ordinary way.
    if let Some(rescue) = service.rescue.as_ref().filter(|r| !targets.contains(r)) {
        targets.push(rescue);
    }
    targets
}

/// An admitted session on the first way that leads to one.
///
/// # Errors
/// Where none does: why the last one did not.
pub(super) async fn open(
    service: &Service,
    e: &Evidence,
    right: impl Fn(&crate::sql::facts::Me) -> bool,
) -> Result<Session, Came> {
    let resolver = Resolver::of(service);
    let bounds = Bounds { statement: BRIEF / 2, lock: BRIEF / 4 };
    let mut why = "no way in has the right: configure `rescue`, or grant pg_signal_backend".to_owned();
    for target in targets(service, e, right) {
        let (walked, session) = route::open(target, &resolver, Some(bounds), Instant::now() + BRIEF).await;
        match session {
            Some(session) => return Ok(session),
            None => {
                let said = break_of(&walked).map_or_else(|| "no session".to_owned(), |b| b.said);
                why = format!("{}: {said}", walked.address);
            }
        }
    }
    Err(Came::to(StepOutcome::Refused, why))
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
