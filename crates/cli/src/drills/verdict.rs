//! What a walk says of two faults that last at once: each is found, or brought about by the other, or stands behind
//! it where no way in and no window leads. Pure; not in here: how the two are brought about (`pair`).

use super::apart::leads_elsewhere;
use super::{Drill, Found};
use pgmedic_model::{Finding, Report, Role, Room, Source};
use pgmedic_path::Evidence;
use pgmedic_path::evidence::RouteEvidence;
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

/// Judges. `proof` gives the sources of the facts that show a fault when it lasts alone; it is asked only of a fault
/// that was not found.
pub(crate) fn judge(
    e: &Evidence,
    report: &Report,
    pair: [&Drill; 2],
    proof: &mut dyn FnMut(&Drill) -> Vec<Source>,
) -> Verdict {
    let [a, b] = pair;
    let own: Vec<&str> = pair.iter().flat_map(|drill| drill.own_roots()).collect();
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
    proof: &mut dyn FnMut(&Drill) -> Vec<Source>,
) -> Fate {
    let beside = report.roots().find(|root| root.cause == other.root_cause());
    let role = found_as(report, one);
    let came_out = match role {
        Some(Role::Root) => CameOut::Root,
        Some(Role::Symptom) if beside.is_some() => CameOut::Symptom,
        Some(Role::Contributing) if beside.is_some() => CameOut::Contributing,
        None if beside.is_some_and(|root| out_of_sight(e, root, [one, other], &proof(one))) => {
            CameOut::Hidden
        }
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

/// True where the other's root keeps a walk from seeing what the first of the pair breaks. The rooms from the network to
/// TLS are entered on the front alone, the login on any way; the rest tell by the one statement. A fault that leads the
/// front to another server is met there alone, and hides what is broken in the service's own.
fn hides(e: &Evidence, root: &Finding, pair: [&Drill; 2]) -> bool {
    let [one, other] = pair;
    let (front, room) = (&e.front, one.room());
    let here = root.room == room;
    let proxied = front.proxy.is_some();
    let authenticated = |r: &RouteEvidence| r.startup.as_ref().is_some_and(|s| s.authenticated);
    match room {
        Room::Server | Room::Sessions | Room::Storage | Room::Admission if leads_elsewhere(one) => {
            front.facts().is_none()
        }
        Room::Startup | Room::Admission | Room::Server | Room::Sessions | Room::Storage
            if leads_elsewhere(other) =>
        {
            true
        }
        // What the API should meet on its own way is told by that way.
        Room::App => front.facts().is_none(),
        Room::Admission | Room::Server | Room::Sessions | Room::Storage => e.told().is_none(),
        Room::Dns => here && front.network.is_none(),
        Room::Network => front.network.is_none() || (here && !proxied),
        Room::Proxy => !proxied || (here && front.tls.is_none() && front.startup.is_none()),
        Room::Tls => front.tls.is_none() || (here && front.startup.is_none()),
        Room::Startup => !e.routes().any(|(_, route)| authenticated(route)),
    }
}

/// True where something that shows a fault could not be looked at, because of the other's root: what is met on the way
/// in, and what a pooler's console or an API tells that did not answer. Processes and logs are looked at whatever became
/// of the way, unless the service has no window at all; so are platforms.
fn out_of_sight(e: &Evidence, root: &Finding, pair: [&Drill; 2], proof: &[Source]) -> bool {
    let unseen = |source: &Source| match source {
        Source::Dns | Source::Tcp | Source::Bytes | Source::Tls | Source::Startup | Source::Sql => {
            hides(e, root, pair)
        }
        Source::Pooler => e.pooler.get().is_none_or(|console| console.failure.is_some()),
        Source::Http => {
            let answered = |ready: &ReadyEvidence| matches!(ready.outcome, HttpOutcome::Answered { .. });
            !e.app.ready.get().is_some_and(answered)
        }
        Source::Log | Source::Host => e.host.get().is_none(),
        Source::Platform => false,
    };
    proof.iter().any(unseen)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::drills::table::find;
    use pgmedic_model::{Confidence, Fact, Severity};
    use pgmedic_path::evidence::Seen;
    use pgmedic_path::platform::evidence::HostEvidence;
    use pgmedic_path::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
    use pgmedic_path::service::Window;
    use pgmedic_path::{Service, walk};
    use std::time::Duration;

    /// What a walk sees that knocks at a closed port and has no window.
    fn knocked() -> Evidence {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("postgres://app@127.0.0.1:{port}/shop");
        let target = crate::surroundings::Surroundings::default().target(Some(&url)).unwrap();
        let service = Service { window: Window::Off, ..Service::bare(target) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(&service, Duration::from_secs(2), &|_| {}))
    }

    fn found(e: &Evidence, findings: &[(&str, Role)]) -> Report {
        let finding = |(cause, role): &(&str, Role)| {
            let room = find(cause).map_or(Room::Startup, Drill::room);
            let fact = Fact::new(Source::Tcp, e.started_at, "here", "as it was");
            let found = Finding::new(cause, room, Severity::Critical, Confidence::Certain, "so it is", fact);
            Finding { role: *role, ..found }
        };
        pgmedic_path::report(e, findings.iter().map(finding).collect())
    }

    fn judged(
        e: &Evidence,
        pair: [&str; 2],
        findings: &[(&str, Role)],
        proof: Source,
    ) -> (bool, [CameOut; 2]) {
        let pair = pair.map(|name| find(name).unwrap());
        let verdict = judge(e, &found(e, findings), pair, &mut |_| vec![proof]);
        (verdict.passed(), [verdict.faults[0].came_out, verdict.faults[1].came_out])
    }

    const PAIR: [&str; 2] = ["port-closed", "wrong-password"];

    #[test]
    fn two_roots_are_right_and_a_third_is_not() {
        let e = knocked();
        let both = [("port-closed", Role::Root), ("wrong-password", Role::Root)];
        assert_eq!(judged(&e, PAIR, &both, Source::Startup), (true, [CameOut::Root; 2]));
        let third = [both[0], both[1], ("hba-rejects", Role::Root)];
        assert_eq!(judged(&e, PAIR, &third, Source::Startup), (false, [CameOut::Root; 2]));
    }

    #[test]
    fn what_stands_behind_a_closed_port_is_hidden_unless_a_window_shows_it() {
        let mut e = knocked();
        let one = [("port-closed", Role::Root)];
        let hidden = (true, [CameOut::Root, CameOut::Hidden]);
        let missed = (false, [CameOut::Root, CameOut::Missed]);
        assert_eq!(judged(&e, PAIR, &one, Source::Startup), hidden);
        assert_eq!(judged(&e, PAIR, &[], Source::Startup), (false, [CameOut::Missed; 2]));
        assert_eq!(
            judged(&e, ["api-unreachable", "wrong-password"], &one, Source::Startup).1[1],
            CameOut::Missed
        );
        assert_eq!(judged(&e, PAIR, &one, Source::Host), hidden, "there is no window");
        e.host = Seen::Seen(HostEvidence::default());
        assert_eq!(judged(&e, PAIR, &one, Source::Host), missed);
        e.front.startup = Some(let_in(&e));
        assert_eq!(judged(&e, PAIR, &one, Source::Startup), missed, "the password was asked for and taken");
    }

    #[test]
    fn a_symptom_has_the_other_for_its_root() {
        let e = knocked();
        let explained = [("port-closed", Role::Root), ("wrong-password", Role::Symptom)];
        assert_eq!(judged(&e, PAIR, &explained, Source::Startup), (true, [CameOut::Root, CameOut::Symptom]));
        let of_a_third = [("hba-rejects", Role::Root), ("wrong-password", Role::Symptom)];
        assert_eq!(judged(&e, PAIR, &of_a_third, Source::Startup), (false, [CameOut::Missed; 2]));
    }

    fn let_in(e: &Evidence) -> StartupEvidence {
        StartupEvidence {
            at: e.started_at,
            elapsed_ms: e.elapsed_ms,
            user: "app".into(),
            database: "shop".into(),
            auth: None,
            authenticated: true,
            outcome: StartupOutcome::Closed,
            notices: Vec::new(),
            product: None,
            received_bytes: 300,
            server_version: None,
            in_hot_standby: None,
            default_transaction_read_only: None,
            is_superuser: None,
            backend_pid: None,
            pooler: None,
        }
    }
}
