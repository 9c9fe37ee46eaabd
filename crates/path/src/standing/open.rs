//! Opening the standing session: one attempt, by the way around proxy and pooler where one is configured. What is asked on
//! it again and again is prepared once, where it is a Postgres backend of its own.

use super::{AFTER, BOUNDS, Inner, Standing};
use crate::evidence::{QueryEvidence, RouteEvidence};
use crate::paste::literal;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::startup::session::{Limits, Session};
use crate::route;
use crate::service::Service;
use crate::sql;
use crate::unrecognised::break_of;
use crate::walk::statement::{Introduced, rows, unread};
use std::sync::Arc;
use tokio::time::Instant;

/// Asks what was prepared.
pub(super) const ACCOUNT: &str = "EXECUTE pgmedic_account";
pub(super) const BRIEF: &str = "EXECUTE pgmedic_brief";

/// 26000 invalid_sql_statement_name.
pub(super) const NO_SUCH_STATEMENT: &str = "26000";

/// What an open session is known by.
pub(crate) struct Opened {
    /// The way in, as it was walked when the session was opened. Without a query.
    pub(crate) route: RouteEvidence,
    /// The statements are prepared on it: it is a Postgres backend of its own.
    pub(super) prepared: bool,
    /// Its backend's process id and start, where it is known to be a backend of its own.
    backend: Option<Orphan>,
}

/// A backend that may outlive its session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    pid: i32,
    /// `backend_start`, as text.
    born: String,
}

/// What came of keeping the session open.
#[derive(Clone, Debug)]
pub enum Kept {
    /// It is open still.
    Open,
    /// It has been opened.
    Opened,
    /// It could not be opened: how far the attempt came.
    Refused(Box<RouteEvidence>),
}

impl Opened {
    /// The evidence of a session that is over: of the way in, nothing proves any more that its door is open.
    pub(super) fn without_its_door(&self, query: QueryEvidence) -> RouteEvidence {
        RouteEvidence { proxy: None, tls: None, startup: None, query: Some(query), ..self.route.clone() }
    }

    pub(super) fn orphan(&self) -> Option<Orphan> {
        self.backend.clone()
    }
}

impl Standing {
    /// Opens the session where it is not open: one attempt, which ends before the deadline. It takes the service's second
    /// turn for that, so that it is never a third session.
    pub async fn keep(&self, service: &Service, deadline: Instant) -> Kept {
        if self.is_open() {
            return Kept::Open;
        }
        let _second = self.second().await;
        let _turn = self.turn.lock().await;
        if self.is_open() {
            return Kept::Open;
        }
        let target = service.direct.as_ref().unwrap_or(&service.target);
        let resolver = Resolver::of(service);
        let opening = Box::pin(route::open(target, &resolver, Some(BOUNDS), deadline));
        let (route, session) = opening.await;
        let Some(mut session) = session else {
            let why = break_of(&route).map_or_else(|| "no session".to_owned(), |b| b.said);
            self.inner().refused = Some(format!("{}: {why}", route.address));
            return Kept::Refused(Box::new(route));
        };
        session.live_on(deadline + AFTER);
        let orphan = self.inner().orphan.clone();
        let (backend, prepared) = settle_in(&mut session, &route, orphan.as_ref(), service, deadline).await;
        if !session.in_step() {
            let why = "it was let in, and then not answered".to_owned();
            self.inner().refused = Some(format!("{}: {why}", route.address));
            return Kept::Refused(Box::new(route));
        }
        session.let_go();
        self.inner().stand(session, Opened { route, prepared, backend });
        Kept::Opened
    }
}

impl Inner {
    fn stand(&mut self, session: Session, opened: Opened) {
        self.session = Some(session);
        self.opened = Some(Arc::new(opened));
        (self.ended, self.refused, self.orphan, self.unasked) = (None, None, None, 0);
        self.said.clear();
        self.wake();
    }
}

/// Finds out whether the session is a backend of its own, ends the one before it where that was left behind, and prepares
/// the statements.
async fn settle_in(
    session: &mut Session,
    route: &RouteEvidence,
    orphan: Option<&Orphan>,
    service: &Service,
    deadline: Instant,
) -> (Option<Orphan>, bool) {
    let startup = route.startup.as_ref();
    let introduced = Introduced {
        version: startup.and_then(|s| s.server_version.as_deref()),
        product: startup.and_then(|s| s.product.as_deref()),
    };
    let version = introduced.version_num();
    if unread(introduced, version).is_some() {
        return (None, false);
    }
    let who = "SELECT pid, backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())";
    let told = rows(session.simple_query_within(who, Limits::SMALL, deadline).await.reply).ok();
    let me = told.and_then(|rows| match rows.into_iter().next()?.as_slice() {
        [Some(pid), Some(born)] => Some(Orphan { pid: pid.parse().ok()?, born: born.clone() }),
        _ => None,
    });
    let Some(me) = me.filter(|me| session.bounded && session.key_pid() == Some(me.pid)) else {
        return (None, false);
    };
    if let Some(orphan) = orphan {
        let end = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_get_activity({}) \
             WHERE backend_start OPERATOR(pg_catalog.=) {}::pg_catalog.timestamptz",
            orphan.pid,
            literal(&orphan.born)
        );
        // Where it is gone, or not ours any more, nothing is ended.
        let _ended = session.simple_query_within(&end, Limits::SMALL, deadline).await;
    }
    let prepare = format!(
        "SET DateStyle TO ISO; SET client_encoding TO SQL_ASCII; PREPARE pgmedic_account AS {}; PREPARE pgmedic_brief AS {}",
        sql::account(version),
        sql::brief(version, &service.policy)
    );
    let prepared = rows(session.simple_query_within(&prepare, Limits::SMALL, deadline).await.reply).is_ok();
    (Some(me), prepared)
}
