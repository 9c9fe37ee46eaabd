//! What a walk says of two faults that last at once: each is found, or brought about by the other, or stands behind
//! it where no way in and no window leads. Pure; not in here: how the two are brought about (`pair`).

use super::{Drill, Found};
use pgmedic_model::{Finding, Report, Role, Room, Source};
use pgmedic_path::Evidence;
use pgmedic_path::rooms::app::evidence::{HttpOutcome, ReadyEvidence};
use serde::Serialize;

/// What became of one of two faults in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CameOut {
    /// A root of its own.
    Root,
    /// Found, and said to come from the other.
    Symptom,
    /// Found, and said to have made the other worse.
    Contributing,
    /// Not found: the other stops every way in before it, and no window shows it.
    Hidden,
    /// Not found, and it could have been.
    Missed,
}

/// One of two faults, as the report has it.
#[derive(Debug, Serialize)]
pub(crate) struct Fate {
    /// The drill.
    pub(crate) drill: &'static str,
    /// The cause that it must evoke.
    pub(crate) expected: &'static str,
    /// What became of it.
    pub(crate) came_out: CameOut,
    /// The other's root, where it is a symptom of it, made it worse or is hidden by it.
    pub(crate) behind: Option<&'static str>,
}

/// The verdict on two faults.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// Both, in the order of the pair.
    pub(crate) faults: Vec<Fate>,
    /// Roots that are neither's.
    pub(crate) false_roots: Vec<String>,
}

impl Verdict {
    /// True where each fault is accounted for, some root is named, and no other.
    pub(crate) fn passed(&self) -> bool {
        let missed = self.faults.iter().any(|fate| fate.came_out == CameOut::Missed);
        let rooted = self.faults.iter().any(|fate| fate.came_out == CameOut::Root);
        rooted && !missed && self.false_roots.is_empty()
    }
}

/// Judges. `proof` gives the source of the first fact that shows a fault when it lasts alone; it is asked only of a
/// fault that was not found.
pub(crate) fn judge(
    e: &Evidence,
    report: &Report,
    pair: [&Drill; 2],
    proof: &mut dyn FnMut(&Drill) -> Option<Source>,
) -> Verdict {
    let [a, b] = pair;
    let own = [a.root_cause(), b.root_cause(), a.name, b.name];
    let roots = report.roots().map(|root| root.cause.as_str());
    let false_roots = roots.filter(|root| !own.contains(root)).map(str::to_owned).collect();
    Verdict { faults: vec![fate(e, report, a, b, proof), fate(e, report, b, a, proof)], false_roots }
}

/// What became of `one` beside `other`.
fn fate(
    e: &Evidence,
    report: &Report,
    one: &Drill,
    other: &Drill,
    proof: &mut dyn FnMut(&Drill) -> Option<Source>,
) -> Fate {
    let beside = report.roots().find(|root| root.cause == other.root_cause());
    let role = found_as(report, one);
    let came_out = match role {
        Some(Role::Root) => CameOut::Root,
        Some(Role::Symptom) if beside.is_some() => CameOut::Symptom,
        Some(Role::Contributing) if beside.is_some() => CameOut::Contributing,
        None if beside.is_some_and(|root| out_of_sight(e, root, one.room(), proof(one))) => CameOut::Hidden,
        _ => CameOut::Missed,
    };
    let behind = (!matches!(came_out, CameOut::Root | CameOut::Missed)).then(|| other.root_cause());
    Fate { drill: one.name, expected: one.root_cause(), came_out, behind }
}

/// The role of the cause that a fault must evoke. One that shows as contributing must show beside it.
fn found_as(report: &Report, drill: &Drill) -> Option<Role> {
    let role = |cause: &str| report.findings.iter().find(|f| f.cause == cause).map(|f| f.role);
    match drill.found {
        Found::Root | Found::Latent | Found::Beside(_) => role(drill.name),
        Found::ContributingTo(root) | Found::SymptomOf(root) => role(drill.name).and(role(root)),
    }
}

/// True where the other's root keeps a walk from seeing into a room. The rooms from the network to TLS are entered on
/// the front alone, the login on any way; the rest tell by the one statement.
fn hides(e: &Evidence, root: &Finding, room: Room) -> bool {
    let (front, here) = (&e.front, root.room == room);
    let proxied = front.proxy.is_some();
    match room {
        Room::App => false,
        Room::Dns => here && front.network.is_none(),
        Room::Network => front.network.is_none() || (here && !proxied),
        Room::Proxy => !proxied || (here && front.tls.is_none() && front.startup.is_none()),
        Room::Tls => front.tls.is_none() || (here && front.startup.is_none()),
        Room::Startup => !e.routes().any(|(_, r)| r.startup.as_ref().is_some_and(|s| s.authenticated)),
        Room::Admission | Room::Server | Room::Sessions | Room::Storage => e.told().is_none(),
    }
}

/// True where what shows a fault could not be looked at, because of the other's root: what is met on the way in, and
/// what a pooler's console or an API tells that did not answer. Processes and logs are looked at whatever became of the
/// way, unless the service has no window at all; so are platforms.
fn out_of_sight(e: &Evidence, root: &Finding, room: Room, proof: Option<Source>) -> bool {
    match proof {
        Some(Source::Dns | Source::Tcp | Source::Bytes | Source::Tls | Source::Startup | Source::Sql) => {
            hides(e, root, room)
        }
        Some(Source::Pooler) => e.pooler.get().is_none_or(|console| console.failure.is_some()),
        Some(Source::Http) => {
            let answered = |ready: &ReadyEvidence| matches!(ready.outcome, HttpOutcome::Answered { .. });
            !e.app.ready.get().is_some_and(answered)
        }
        Some(Source::Log | Source::Host) => e.host.get().is_none() && hides(e, root, room),
        Some(Source::Platform) | None => false,
    }
}
