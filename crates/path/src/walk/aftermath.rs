//! After a query that was not answered: a second connection asks small questions and a large one. It tells a server
//! that no longer works from a network that lets small packets through and loses large ones. Not in here: what it means.

use super::budget::Budget;
use super::statement::rows;
use crate::clock::Stopwatch;
use crate::evidence::Aftermath;
use crate::rooms::startup::session::{Limits, Session};
use crate::rooms::startup::wire::readable;
use crate::route::{Way, open};
use crate::standing::Standing;
use tokio::time::Instant;

/// Looks, while the first connection still stands. `backend` is the process id of its backend, where it was told.
pub(super) async fn look(way: &Way<'_>, backend: Option<u32>, budget: &Budget) -> Aftermath {
    let watch = Stopwatch::start();
    let deadline = budget.aftermath();
    let (route, session) = open(way.target, way.resolver, way.bounds, deadline).await;
    let mut seen = Aftermath { at: watch.at, admitted: route.admitted(), ..Aftermath::default() };
    if let Some(mut session) = session {
        ask(&mut session, backend, deadline, &mut seen).await;
        session.close().await;
    }
    seen.elapsed_ms = watch.elapsed();
    seen
}

/// The same by the standing session, where that goes the same way. None where it is over.
pub(super) async fn by(standing: &Standing, backend: Option<u32>, deadline: Instant) -> Option<Aftermath> {
    let watch = Stopwatch::start();
    let mut seen = Aftermath { at: watch.at, admitted: true, ..Aftermath::default() };
    let mut desk = standing.take(deadline).await?;
    ask(desk.session()?, backend, deadline, &mut seen).await;
    seen.elapsed_ms = watch.elapsed();
    Some(seen)
}

async fn ask(session: &mut Session, backend: Option<u32>, deadline: Instant, seen: &mut Aftermath) {
    // A pooler makes process ids up: then there is no such row, and the answer is none the smaller.
    let small = format!(
        "SELECT coalesce(state, 'in an unknown state') || coalesce(', ' || wait_event, '') \
         FROM pg_catalog.pg_stat_activity WHERE pid = {}",
        backend.unwrap_or_default()
    );
    let Ok(told) = rows(session.simple_query_within(&small, Limits::SMALL, deadline).await.reply) else {
        return;
    };
    seen.small = true;
    seen.first_backend = told.into_iter().flatten().flatten().next().map(|text| readable(text.as_bytes()));
    let large = format!("SELECT pg_catalog.repeat('.', {})", Aftermath::LARGE);
    seen.large = Some(rows(session.simple_query_within(&large, Limits::SMALL, deadline).await.reply).is_ok());
}
