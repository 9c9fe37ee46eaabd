//! What the platform shows of a server that is not there: its instances are down, or in one that runs nothing listens.
//! Not in here: this host's window on it, which `server_down` reads itself.

use crate::evidence::{Evidence, RouteEvidence};
use crate::instances;
use crate::platform::told::{ByHand, CheckLogin, Instance, InstanceState, MemberRole};
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::proxy::silence::by_a_pooler;
use pgmedic_model::{Action, Confidence, Fact, RemedyKind, RemedyPlan, Source, SqlState};

/// A server that is not there.
pub(crate) struct Gone<'e> {
    /// How sure that is.
    pub(crate) confidence: Confidence,
    /// What is seen, for a summary.
    pub(crate) what: String,
    /// The fact that shows it.
    pub(crate) proof: Fact,
    /// More of them.
    pub(crate) facts: Vec<Fact>,
    /// Every one of its instances was stopped because somebody asked for it.
    pub(crate) requested: bool,
    /// What a person would type.
    pub(crate) by_hand: &'e ByHand,
    /// The instance is there and only what is in it is gone.
    pub(crate) within: bool,
}

/// What the platform shows, unless somebody is seen alive: on a way in, or on this host.
pub(crate) fn seen(e: &Evidence) -> Option<Gone<'_>> {
    let alive = |host: &crate::platform::evidence::HostEvidence| {
        host.postmaster.as_ref().is_some_and(|postmaster| postmaster.state != 'Z')
    };
    if e.host.get().is_some_and(alive) || answers(e) {
        return None;
    }
    let list = instances::of_db(e);
    let first = list.first()?;
    let proof = instances::fact(e, first);
    let facts = list.iter().skip(1).take(3).map(|i| instances::fact(e, i)).collect();
    let others = if list.len() > 1 { format!(", and {} more", list.len() - 1) } else { String::new() };
    if instances::all_down(list) {
        let requested = list.iter().all(|i| i.exit.as_ref().is_some_and(|exit| exit.requested));
        return Some(Gone {
            confidence: Confidence::Certain,
            what: format!("{}{others}", instances::state(e, first)),
            proof,
            facts,
            requested,
            by_hand: &first.by_hand,
            within: false,
        });
    }
    if list.iter().all(|i| i.unreachable) {
        let what = format!("the platform does not reach what {}{others} runs on", instances::name(first));
        let by_hand = &first.by_hand;
        let confidence = Confidence::Likely;
        return Some(Gone { confidence, what, proof, facts, requested: false, by_hand, within: false });
    }
    nothing_listens(e)
}

/// In the instance that should take writes nothing listens, by its own check; and nobody is met on the way in.
fn nothing_listens(e: &Evidence) -> Option<Gone<'_>> {
    let list = instances::of_db(e);
    let answers = |i: &Instance| i.server.login.as_ref().is_some_and(|l| l.value == CheckLogin::Admitted);
    if list.iter().any(|i| answers(i) && !instances::has_role(i, MemberRole::Replica)) {
        return None;
    }
    let met = nobody_there(e)?;
    let (i, login, words) = list.iter().find_map(|i| match i.server.login.as_ref() {
        Some(login) if i.state == InstanceState::Running => match &login.value {
            CheckLogin::NothingListens(words) => Some((i, login, words)),
            _ => None,
        },
        _ => None,
    })?;
    let fresh = instances::is_fresh(e, login.at);
    let revived = match i.server.revived {
        Some(false) => ", and nothing in it starts Postgres again",
        _ => "",
    };
    Some(Gone {
        confidence: if fresh { Confidence::Certain } else { Confidence::Likely },
        what: format!(
            "its instance {} is {}, but nothing listens in it{revived}",
            instances::name(i),
            i.word
        ),
        proof: instances::check_fact(e, i, login, words),
        facts: vec![instances::fact(e, i), met],
        requested: false,
        by_hand: &i.by_hand,
        within: true,
    })
}

/// Some way in was let in by the server itself. A pooler in front welcomes its clients by what it remembers of a server.
pub(crate) fn lets_in(e: &Evidence) -> bool {
    let pooled = by_a_pooler(e).is_some();
    e.routes()
        .any(|(name, route)| route.facts().is_some() || (route.admitted() && !(pooled && name == "front")))
}

/// A server has answered on some way, if only to refuse.
pub(crate) fn answers(e: &Evidence) -> bool {
    let pooled = by_a_pooler(e).is_some();
    e.routes()
        .any(|(name, route)| if pooled && name == "front" { told_of_itself(route) } else { speaks(route) })
}

/// The server's own word behind a pooler, which welcomes its clients without asking it: its account, or that it starts.
fn told_of_itself(route: &RouteEvidence) -> bool {
    route.facts().is_some() || route.refusal().is_some_and(|error| error.is(SqlState::CANNOT_CONNECT_NOW))
}

/// A server, and not only a pooler in front of it, has answered on this way: PgBouncer's own errors have 08P01.
fn speaks(route: &RouteEvidence) -> bool {
    route.admitted() || route.refusal().is_some_and(|error| !error.is(SqlState::PROTOCOL_VIOLATION))
}

/// Nothing listens at the end of one of the ways, or what listens has nobody behind it.
pub(crate) fn nobody_there(e: &Evidence) -> Option<Fact> {
    e.routes().find_map(|(_, route)| closed(route))
}

/// Nothing listens at the end of this way, or what listens has nobody behind it.
fn closed(route: &RouteEvidence) -> Option<Fact> {
    if let Some(proxy) = &route.proxy {
        let shut = matches!(proxy.first, FirstBytes::Closed | FirstBytes::Reset);
        let text = "connected, then closed without a byte";
        return shut.then(|| Fact::new(Source::Bytes, proxy.at, route.address.as_str(), text));
    }
    let attempts = &route.network.as_ref()?.attempts;
    let shut = |outcome| matches!(outcome, ConnectOutcome::Refused | ConnectOutcome::NoSuchSocket);
    let first = attempts.first().filter(|_| attempts.iter().all(|a| shut(a.outcome)))?;
    Some(Fact::new(Source::Tcp, first.at, first.address.as_str(), "nothing listens there"))
}

impl Gone<'_> {
    /// What a person does about it: looks, and then starts what is down.
    pub(crate) fn remedies(&self) -> Vec<RemedyPlan> {
        let look = RemedyPlan::by_hand(
            "see-why-it-is-down",
            RemedyKind::Advice,
            "read why it went, and whether its volume has space, before starting anything",
            self.by_hand.look.as_str(),
        );
        let (plan, command) = if self.within {
            (
                "restart its instance, once the reason is known and there is space: nothing else starts it",
                &self.by_hand.restart,
            )
        } else {
            ("start it, once the reason is known and there is space", &self.by_hand.start)
        };
        let start = RemedyPlan::by_hand("start-database", RemedyKind::DbRestart, plan, command.as_str())
            .doing(Action::StartDb);
        [look, start].into_iter().filter(|remedy| !remedy.command.is_empty()).collect()
    }
}
