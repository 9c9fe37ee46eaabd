//! The ways in: front and direct side by side, rescue where the front is full, the statement on the first that is
//! admitted, and the window on this host before any held connection is let go.

use super::aftermath;
use super::ahead::{self, Ahead};
use super::budget::Budget;
use super::doors::{self, Doors};
use super::window::{Glance, Ways, glance, look_at_suspects, look_through};
use super::{Purpose, alone, on_the_heap, statement};
use crate::audit::facts::AuditFacts;
use crate::events::Observer;
use crate::evidence::{Aftermath, QueryEvidence, QueryOutcome, RouteEvidence, Seen};
use crate::platform::evidence::HostEvidence;
use crate::platform::own_socket;
use crate::preflight::Preflight;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::startup::session::Session;
use crate::route::{DRAGGED_MS, Deadlines, Door, Walked, Way};
use crate::service::Service;
use crate::sql::facts::{SessionView, SqlFacts};
use pgmedic_model::pooler_words::{Words, meaning};
use pgmedic_model::{Policy, Room, ServerError, SqlState, Target};
use std::time::Duration;
use tokio::time::Instant;

/// A front that takes this long from the name to the statement's answer is looked at from the side as one that is not well.
const SLOW: Duration = Duration::from_secs(1);

/// The rooms that the statement looks into, with one answer.
const ROOMS_OF_THE_STATEMENT: [Room; 4] = [Room::Admission, Room::Server, Room::Sessions, Room::Storage];

/// What the ways came to.
pub(super) struct SeenOnTheWays {
    pub(super) front: RouteEvidence,
    pub(super) direct: Seen<RouteEvidence>,
    pub(super) rescue: Seen<RouteEvidence>,
    pub(super) standing: Seen<RouteEvidence>,
    pub(super) host: Seen<HostEvidence>,
    pub(super) preflight: Seen<Preflight>,
    pub(super) audit: Seen<AuditFacts>,
}

/// What all ways of a walk have in common.
pub(super) struct Guide<'a> {
    pub(super) purpose: Purpose,
    pub(super) service: &'a Service,
    resolver: &'a Resolver,
    pub(super) budget: &'a Budget,
    observer: Observer<'a>,
}

/// A way that has been walked.
pub(super) struct Gone<'a> {
    pub(super) way: Way<'a>,
    pub(super) walked: Walked,
}

/// Where a way that was admitted has led: the session while it is open, and the one query if it was asked here.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) session: Option<Session>,
    pub(super) query: Option<QueryEvidence>,
}

/// Walks every way in. `api_is_well` comes true unless the API says that it cannot use its database, or that it lost
/// connections: then the window is looked through closely though the door stands open, because the server's log may tell
/// of what is past. It is, too, where a session sends its answer to nobody.
pub(super) async fn walk(
    purpose: Purpose,
    service: &Service,
    resolver: &Resolver,
    budget: &Budget,
    observer: Observer<'_>,
    doors: &Doors,
    api_is_well: impl Future<Output = bool>,
) -> SeenOnTheWays {
    let guide = Guide { purpose, service, resolver, budget, observer };
    if let Some(standing) = &service.standing {
        return on_the_heap(|| alone::walk(&guide, standing, doors, api_is_well)).await;
    }
    let only = service.direct.is_none();
    let front = on_the_heap(|| guide.front(doors, only));
    let direct = async {
        match &service.direct {
            Some(target) => Some(guide.go("direct", target, budget.ways(), false, Some(&doors.direct)).await),
            None => None,
        }
    };
    let ((mut front, mut front_desk, glance, slow), direct) = tokio::select! {
        both = async { tokio::join!(front, direct) } => both,
        never = doors::watch(service, doors, budget.sides()) => match never {},
    };
    let (mut direct, mut direct_desk) =
        direct.map_or_else(Default::default, |(gone, desk)| (Some(gone), desk));
    front.look_at_transport(&front_desk);
    if let Some(direct) = &mut direct {
        direct.look_at_transport(&direct_desk);
    }

    // The windows run while a silent hop still has its connection: what it does upstream with it is evidence.
    let held = (front.walked.take_held(), direct.as_mut().and_then(|direct| direct.walked.take_held()));
    let facts = front_desk.facts();
    let admitted = facts.is_some() && (direct.is_none() || direct_desk.session.is_some());
    let direct_walked = direct.as_ref().map(|direct| &direct.walked);
    let around = direct_walked.map(Walked::addresses).unwrap_or_default();
    let view =
        Ways { front: &front.walked, direct: direct_walked, around, facts, healthy: admitted && !slow };
    let window = guide.window(view, glance, api_is_well);
    let elsewhere = async {
        if let (Some(direct), None) = (&direct, facts) {
            guide.ask(direct, &mut direct_desk, true).await;
        }
        let late = [&front_desk, &direct_desk].into_iter().filter_map(Desk::error);
        let refusals = [Some(&front), direct.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|gone| gone.walked.refusal())
            .chain(late);
        guide.rescue(guide.wants_rescue(refusals), facts.or(direct_desk.facts()).is_some()).await
    };
    let (host, mut rescue) = tokio::join!(window, elsewhere);
    drop(held);
    let (preflight, audit) = if purpose.looks_ahead() {
        let direct = direct.as_ref().map(|gone| (gone, &mut direct_desk));
        let rescue = if let Seen::Seen((gone, desk)) = &mut rescue { Some((&*gone, desk)) } else { None };
        look_ahead(purpose, [Some((&front, &mut front_desk)), direct, rescue], budget).await
    } else {
        ahead::not_asked()
    };

    let direct = direct.map_or_else(
        || Seen::NotSeen("not configured (`direct`, host:port)".to_owned()),
        |direct| Seen::Seen((direct, direct_desk)),
    );
    let (front, direct, rescue) = tokio::join!(front.end(front_desk), ended(direct), ended(rescue));
    let standing = Seen::NotSeen("none is kept".to_owned());
    SeenOnTheWays { front, direct, rescue, standing, host, preflight, audit }
}

/// Asks what the next start would meet, and for an audit the rest, on the first way on which the server told of itself.
pub(super) async fn look_ahead(
    purpose: Purpose,
    ways: [Option<(&Gone<'_>, &mut Desk)>; 3],
    budget: &Budget,
) -> Ahead {
    for (gone, desk) in ways.into_iter().flatten() {
        if desk.facts().is_none() {
            continue;
        }
        if let Some(session) = &mut desk.session {
            let mut desk = ahead::Desk {
                session,
                place: gone.walked.address(),
                role: &gone.way.target.user,
                server_version: gone.walked.server_version(),
            };
            return desk.tell(purpose, budget).await;
        }
    }
    ahead::nobody_told()
}

/// Ends a way that was gone, or passes on why it was not.
pub(super) async fn ended(way: Seen<(Gone<'_>, Desk)>) -> Seen<RouteEvidence> {
    match way {
        Seen::Seen((gone, desk)) => Seen::Seen(gone.end(desk).await),
        Seen::NotSeen(why) => Seen::NotSeen(why),
    }
}

impl<'a> Guide<'a> {
    /// The front, walked and asked, with a glance at this host's volumes meanwhile, and whether it took so long that it is
    /// not well though all is answered. `only` where there is no other way to ask on.
    pub(super) async fn front(&self, doors: &'a Doors, only: bool) -> (Gone<'a>, Desk, Option<Glance>, bool) {
        let begun = Instant::now();
        let door = Some(&doors.front);
        let (gone, mut desk) = self.go("front", &self.service.target, self.budget.ways(), only, door).await;
        let ((), glance) = tokio::join!(self.ask(&gone, &mut desk, only), self.glance(&gone));
        (gone, desk, glance, begun.elapsed() >= SLOW)
    }

    /// The window on this host. `view.healthy` says what the ways show; whether they are to be believed is found out here.
    pub(super) async fn window(
        &self,
        mut view: Ways<'_>,
        glance: Option<Glance>,
        api_is_well: impl Future<Output = bool>,
    ) -> Seen<HostEvidence> {
        let (service, facts) = (self.service, view.facts);
        let doubtful = |facts| writes_to_nobody(facts) || may_have_ghosts(facts, &service.policy);
        let told_well = view.healthy && !facts.is_some_and(doubtful);
        view.healthy = !self.purpose.looks_ahead() && told_well && api_is_well.await;
        let enough = |facts: &&SqlFacts| view.healthy && !facts.storage.archives_silently();
        let glanced = facts.filter(enough).zip(glance).and_then(|(facts, glance)| glance.bears_out(facts));
        let mut seen = match glanced {
            Some(seen) => Seen::Seen(seen),
            None => look_through(service, &view, self.budget.window()).await,
        };
        if let (Seen::Seen(seen), Some(facts)) = (&mut seen, facts) {
            look_at_suspects(seen, facts, &service.policy, self.budget.window()).await;
        }
        seen
    }

    pub(super) async fn go(
        &self,
        name: &'static str,
        target: &'a Target,
        deadlines: Deadlines,
        only: bool,
        door: Option<&'a Door>,
    ) -> (Gone<'a>, Desk) {
        let (resolver, observer) = (self.resolver, self.observer);
        let bounds = (self.purpose != Purpose::Audit).then(|| self.budget.bounds(only));
        let way = Way { name, target, resolver, bounds, deadlines, observer, door };
        let mut walked = way.walk().await;
        let session = walked.take_session();
        (Gone { way, walked }, Desk { session, query: None })
    }

    /// The look at this host's volumes that a check takes while the statement is under way.
    async fn glance(&self, gone: &Gone<'a>) -> Option<Glance> {
        if self.purpose.looks_ahead() {
            return None;
        }
        glance(self.service, &gone.walked, self.budget.glance()).await
    }

    /// Asks the one query where the way was admitted. `only` where it can be asked on no other.
    pub(super) async fn ask(&self, gone: &Gone<'a>, desk: &mut Desk, only: bool) {
        let Some(session) = &mut desk.session else { return };
        for room in ROOMS_OF_THE_STATEMENT {
            gone.way.entered(room);
        }
        let introduced =
            statement::Introduced { version: gone.walked.server_version(), product: gone.walked.product() };
        let mut query =
            statement::ask(session, introduced, &self.service.policy, &self.budget.pace(only)).await;
        if query.outcome == QueryOutcome::Silent {
            // Rare and large: it has no room of its own in every walk.
            query.aftermath = on_the_heap(|| self.aftermath(gone)).await;
        }
        for room in ROOMS_OF_THE_STATEMENT {
            gone.way.left(room, matches!(query.outcome, QueryOutcome::Answered(_)), query.elapsed_ms);
        }
        desk.query = Some(query);
    }

    /// What a second connection shows; the standing one, where it goes the same way. Where that is open and goes another way,
    /// a second one would be the third.
    async fn aftermath(&self, gone: &Gone<'a>) -> Option<Aftermath> {
        let backend = gone.walked.backend_pid();
        match self.service.standing.as_ref().filter(|standing| standing.is_open()) {
            None => Some(aftermath::look(&gone.way, backend, self.budget).await),
            Some(_) if gone.way.name != "front" || self.service.direct.is_some() => None,
            Some(standing) => aftermath::by(standing, backend, self.budget.aftermath()).await,
        }
    }

    /// Some way was refused for what another role might pass.
    pub(super) fn wants_rescue<'e>(&self, mut refusals: impl Iterator<Item = &'e ServerError>) -> bool {
        let stranger = |error: &ServerError| self.service.expected.is_some() && is_of_a_stranger(error);
        refusals.any(|error| is_want_of_slots(error) || stranger(error))
    }

    /// The way of another role, by reserved slots, where a way was refused for want of others (or for what another server
    /// than the expected one would refuse) and nobody else has told.
    pub(super) async fn rescue(&self, wanted: bool, told: bool) -> Seen<(Gone<'a>, Desk)> {
        let Some(target) = &self.service.rescue else {
            return Seen::NotSeen("not configured (`rescue`, a role that may use reserved slots)".to_owned());
        };
        if !wanted {
            return Seen::NotSeen("no way in was refused for what another role might pass".to_owned());
        }
        if told {
            return Seen::NotSeen("another way in was admitted and told".to_owned());
        }
        let (gone, mut desk) = self.go("rescue", target, self.budget.rescue(), false, None).await;
        self.ask(&gone, &mut desk, true).await;
        Seen::Seen((gone, desk))
    }
}

impl Desk {
    pub(super) fn facts(&self) -> Option<&SqlFacts> {
        match &self.query {
            Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) => Some(facts),
            _ => None,
        }
    }

    /// The error that came for the query: a pooler's refusal may come so late.
    pub(super) fn error(&self) -> Option<&ServerError> {
        match &self.query {
            Some(QueryEvidence { outcome: QueryOutcome::Error(error), .. }) => Some(error),
            _ => None,
        }
    }
}

impl Gone<'_> {
    /// Asks the kernel for its account of the connection where the way was slow or fell silent: while it is still open.
    pub(super) fn look_at_transport(&mut self, desk: &Desk) {
        let slow = |query: &QueryEvidence| query.elapsed_ms.0 >= DRAGGED_MS;
        if self.walked.dragged() || desk.query.as_ref().is_some_and(slow) {
            let transport = self.walked.ends().and_then(|(local, peer)| own_socket::transport(local, peer));
            self.walked.add_transport(transport);
        }
    }

    /// Closes the session and gives the evidence.
    pub(super) async fn end(self, desk: Desk) -> RouteEvidence {
        if let Some(session) = desk.session {
            session.close().await;
        }
        RouteEvidence { query: desk.query, ..self.walked.settle().await }
    }
}

/// True where an error is what another server than the expected one would say: it has other roles, passwords and
/// databases. Another role's way in can tell which server it is.
fn is_of_a_stranger(error: &ServerError) -> bool {
    let codes = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
    ];
    let words = [Words::PasswordFailed, Words::RoleDoesNotExist, Words::DatabaseDoesNotExist];
    codes.iter().any(|code| error.is(code))
        || meaning(&error.message).is_some_and(|said| words.contains(&said))
}

/// Some session has tried to send its answer for over a second, and its client does not take it.
fn writes_to_nobody(facts: &SqlFacts) -> bool {
    let waits = |s: &SessionView| s.wait_event.as_deref() == Some("ClientWrite");
    facts.sessions.sessions.iter().any(|s| waits(s) && s.query_ms.is_some_and(|ms| ms >= 1000.0))
}

/// True where sessions that have rested for long take a fifth of the ordinary slots: their clients may be gone, which the
/// sockets of the server's host would tell.
fn may_have_ghosts(facts: &SqlFacts, policy: &Policy) -> bool {
    let rested =
        |s: &&SessionView| s.client_port.is_some() && s.state_ms.is_some_and(|ms| ms >= policy.idle_after_ms);
    let resting = facts.sessions.sessions.iter().filter(rested).count() as u64;
    resting > 0 && resting * 5 >= facts.admission.ordinary()
}

/// True where an error refuses for want of a slot: 53300, or its words where a pooler has put a code of its own on them.
fn is_want_of_slots(error: &ServerError) -> bool {
    let words = [Words::SlotsReserved, Words::TooManyClients, Words::RoleLimit, Words::DatabaseLimit];
    error.is(SqlState::TOO_MANY_CONNECTIONS)
        || meaning(&error.message).is_some_and(|said| words.contains(&said))
}
