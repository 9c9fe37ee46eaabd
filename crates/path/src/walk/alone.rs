//! The ways of a service that keeps a standing session: that is looked through at once beside the front, and whatever else
//! is walked has the service's one other session after the front, never beside it. Where the standing session tells, nobody
//! else is asked.

use super::ahead::{self, Ahead};
use super::doors::{self, Doors};
use super::statement::rows;
use super::ways::{Desk, Gone, Guide, SeenOnTheWays, ended, look_ahead};
use super::window::Ways;
use super::{Purpose, on_the_heap};
use crate::evidence::{RouteEvidence, Seen};
use crate::rooms::startup::session::Limits;
use crate::standing::{Depth, Standing};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a backend of ours may take to leave that was cancelled in the midst of its query, and between two looks at it.
const LEAVES_WITHIN: Duration = Duration::from_millis(300);
const BETWEEN: Duration = Duration::from_millis(10);

/// Walks them.
pub(super) async fn walk<'a>(
    guide: &Guide<'a>,
    standing: &'a Standing,
    doors: &'a Doors,
    api_is_well: impl Future<Output = bool>,
) -> SeenOnTheWays {
    let (service, budget) = (guide.service, guide.budget);
    let only = service.direct.is_none() && !standing.is_open();
    let both = async {
        tokio::join!(
            // Each on the heap: together they are large.
            on_the_heap(|| guide.front(doors, only)),
            on_the_heap(|| standing.look(&service.policy, Depth::Whole, budget.statement(true)))
        )
    };
    let ((mut front, desk, glance, slow), stood) = tokio::select! {
        both = both => both,
        never = doors::watch(service, doors, budget.sides()) => match never {},
    };
    front.look_at_transport(&desk);
    // The window runs while a silent hop still has its connection: what it does upstream with it is evidence.
    let held = front.walked.take_held();
    let facts = desk.facts().or(stood.get().and_then(RouteEvidence::facts));
    let around = match (&service.direct, stood.get()) {
        (Some(_), Some(route)) => route.dns.addresses(),
        _ => Vec::new(),
    };
    let healthy = desk.facts().is_some() && !slow;
    let view = Ways { front: &front.walked, direct: None, around, facts, healthy };
    let host = guide.window(view, glance, api_is_well).await;
    drop(held);
    let told = (!guide.purpose.looks_ahead()).then(ahead::not_asked);
    on_the_heap(|| Course { guide, standing, doors, stood, told }.one_by_one(front, desk, host)).await
}

/// What is left to be walked once front and standing session have told what they had to tell.
struct Course<'g, 'a> {
    guide: &'g Guide<'a>,
    standing: &'a Standing,
    doors: &'a Doors,
    stood: Seen<RouteEvidence>,
    /// What was told of what is ahead. None while it is still to be asked.
    told: Option<Ahead>,
}

impl<'a> Course<'_, 'a> {
    async fn one_by_one(
        mut self,
        front: Gone<'a>,
        mut desk: Desk,
        host: Seen<crate::platform::evidence::HostEvidence>,
    ) -> SeenOnTheWays {
        self.ahead_by_the_standing_session().await;
        self.ahead(&front, &mut desk).await;
        let told = self.stood.get().is_some_and(|r| r.facts().is_some()) || desk.facts().is_some();
        let late = desk.error().cloned();
        let room = self.make_room(&front, &mut desk).await;
        let mut direct = on_the_heap(|| self.direct(room, !told)).await;
        let mut by_direct = false;
        if let Seen::Seen((gone, desk)) = &mut direct {
            by_direct = desk.facts().is_some();
            self.ahead(gone, desk).await;
            desk.leave().await;
        }
        let wanted = room && {
            let around = match &direct {
                Seen::Seen((gone, desk)) => [gone.walked.refusal(), desk.error()],
                Seen::NotSeen(_) => [None, None],
            };
            let refusals = [front.walked.refusal(), late.as_ref()].into_iter().chain(around).flatten();
            self.guide.wants_rescue(refusals)
        };
        let mut rescue = on_the_heap(|| self.guide.rescue(wanted, told || by_direct)).await;
        if let Seen::Seen((gone, desk)) = &mut rescue {
            self.ahead(gone, desk).await;
            desk.leave().await;
        }
        let (front, direct, rescue) = tokio::join!(front.end(desk), ended(direct), ended(rescue));
        let (preflight, audit) = self.told.unwrap_or_else(ahead::nobody_told);
        SeenOnTheWays { front, direct, rescue, standing: self.stood, host, preflight, audit }
    }

    /// The way around, once there is room for its session. It is asked where nobody has told.
    async fn direct(&self, room: bool, ask: bool) -> Seen<(Gone<'a>, Desk)> {
        let guide = self.guide;
        let Some(target) = &guide.service.direct else {
            return Seen::NotSeen("not configured (`direct`, host:port)".to_owned());
        };
        if !room {
            return Seen::NotSeen("not walked: a session of pgmedic's own has not left yet".to_owned());
        }
        let walked = async {
            let door = Some(&self.doors.direct);
            let deadlines = guide.budget.after_the_front();
            let (gone, mut desk) = guide.go("direct", target, deadlines, ask, door).await;
            if ask {
                guide.ask(&gone, &mut desk, true).await;
            }
            (gone, desk)
        };
        let (mut gone, desk) = tokio::select! {
            walked = walked => walked,
            never = doors::watch(guide.service, self.doors, guide.budget.window()) => match never {},
        };
        gone.look_at_transport(&desk);
        drop(gone.walked.take_held());
        Seen::Seen((gone, desk))
    }

    /// Asks what the next start would meet, where that is still to be asked and the server told of itself here.
    async fn ahead(&mut self, gone: &Gone<'a>, desk: &mut Desk) {
        if self.told.is_none() && desk.facts().is_some() {
            let ways = [Some((gone, desk)), None, None];
            self.told = Some(look_ahead(self.guide.purpose, ways, self.guide.budget).await);
        }
    }

    /// The same through the standing session; not for an audit, which asks where the session has what its role's have, and
    /// this one has bounds of its own.
    async fn ahead_by_the_standing_session(&mut self) {
        let purpose = self.guide.purpose;
        let wanted = self.told.is_none() && purpose != Purpose::Audit;
        let Some(route) = self.stood.get().filter(|r| wanted && r.facts().is_some()) else { return };
        let target = self.guide.service.direct.as_ref().unwrap_or(&self.guide.service.target);
        let deadline = self.guide.budget.statement(true);
        let Some(mut desk) = self.standing.take(deadline).await else { return };
        let Some(session) = desk.session() else { return };
        let mut desk = ahead::Desk {
            session,
            place: &route.address,
            role: &target.user,
            server_version: route.startup.as_ref().and_then(|s| s.server_version.as_deref()),
        };
        self.told = Some(desk.tell(purpose, self.guide.budget).await);
    }

    /// Ends the front's session, and sees to it that its backend has gone where that may still be at work. False where it
    /// has not.
    async fn make_room(&self, front: &Gone<'a>, desk: &mut Desk) -> bool {
        let at_work = desk.session.as_ref().is_some_and(|session| !session.in_step());
        desk.leave().await;
        let Some(pid) = front.walked.backend_pid().filter(|_| at_work && self.standing.is_open()) else {
            return true;
        };
        let until = Instant::now() + LEAVES_WITHIN;
        // A pooler makes process ids up: then there is none such, and it is the pooler's own session.
        let there = format!("SELECT pid FROM pg_catalog.pg_stat_get_activity({pid}) WHERE pid IS NOT NULL");
        while Instant::now() < until {
            let Some(mut desk) = self.standing.take(until).await else { return false };
            let Some(session) = desk.session() else { return false };
            let told = session.simple_query_within(&there, Limits::SMALL, until).await;
            match rows(told.reply) {
                Ok(rows) if rows.is_empty() => return true,
                Ok(_) => sleep(BETWEEN).await,
                Err(_) => return false,
            }
        }
        false
    }
}

impl Desk {
    /// Ends the session, and waits for a moment until its backend has gone.
    async fn leave(&mut self) {
        if let Some(session) = self.session.take() {
            session.close_and_see().await;
        }
    }
}
