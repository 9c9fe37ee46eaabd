//! What the attempts of one route add up to: which attempt decides, and what the window on this host says of
//! the listener behind it. Weighed once for all causes of the room, so that a failed network has one root.
//! Pure.

use super::evidence::{Attempt, ConnectOutcome, NetworkEvidence};
use crate::evidence::{Evidence, RouteEvidence};
use crate::platform::evidence::ListenerView;
use crate::ways::Struck;
use pgmedic_model::{Errno, Fact, Finding, Ms, Source};
use std::net::SocketAddr;

/// What the window on this host says of the listener at a route's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener<'a> {
    /// A process listens there.
    There(&'a ListenerView),
    /// Nothing listens there.
    Missing,
    /// There is no window, or the address is not this host's.
    NotSeen,
}

/// The attempt that decides why a route did not connect. None where one did connect, or none was made.
///
/// An answer tells more than silence, and silence more than an attempt that this host could not make: an IPv6
/// address that this host has no route to says nothing of the IPv4 address that was refused.
pub(crate) fn decisive(route: &RouteEvidence) -> Option<&Attempt> {
    let network = route.network.as_ref()?;
    if network.attempts.iter().any(connected) {
        return None;
    }
    network.attempts.iter().min_by_key(|a| (weight(a.outcome), here_alone(a.outcome) && is_v6(a)))
}

/// True where a route's deciding attempt ended so.
pub(crate) fn ended(route: &RouteEvidence, outcomes: &[ConnectOutcome]) -> bool {
    decisive(route).is_some_and(|a| outcomes.contains(&a.outcome))
}

const fn weight(outcome: ConnectOutcome) -> u8 {
    match outcome {
        ConnectOutcome::Connected => 0,
        ConnectOutcome::Refused | ConnectOutcome::Reset | ConnectOutcome::QueueFull => 1,
        ConnectOutcome::Rejected => 2,
        ConnectOutcome::Silent => 3,
        ConnectOutcome::NoSuchSocket | ConnectOutcome::Forbidden => 4,
        ConnectOutcome::Unreachable => 5,
        ConnectOutcome::CannotTry => 6,
        ConnectOutcome::Failed => 7,
    }
}

/// True for an outcome that this host made up by itself, without a packet.
pub(crate) const fn here_alone(outcome: ConnectOutcome) -> bool {
    matches!(outcome, ConnectOutcome::Unreachable | ConnectOutcome::CannotTry)
}

/// True for an established connection.
pub(crate) fn connected(attempt: &Attempt) -> bool {
    attempt.outcome == ConnectOutcome::Connected
}

/// True for an IPv6 address.
pub(crate) fn is_v6(attempt: &Attempt) -> bool {
    attempt.address.parse::<SocketAddr>().is_ok_and(|a| a.is_ipv6())
}

/// The address family that this host has not, where the addresses of a route are all of that one: `IPv4`, `IPv6`.
pub(crate) fn missing_family(route: &RouteEvidence) -> Option<&'static str> {
    let network = route.network.as_ref()?;
    let (families, first) = (network.families?, network.attempts.first()?);
    if is_loopback(first) || network.attempts.iter().any(|a| is_v6(a) != is_v6(first)) {
        return None;
    }
    match is_v6(first) {
        true => (!families.ipv6).then_some("IPv6"),
        false => (!families.ipv4).then_some("IPv4"),
    }
}

/// True for a loopback address.
pub(crate) fn is_loopback(attempt: &Attempt) -> bool {
    attempt.address.parse::<SocketAddr>().is_ok_and(|a| a.ip().to_canonical().is_loopback())
}

/// True for a unix socket's path.
pub(crate) fn is_socket(attempt: &Attempt) -> bool {
    attempt.address.starts_with(['/', '@'])
}

/// True where the attempt ended with this errno.
pub(crate) fn is(attempt: &Attempt, name: &str) -> bool {
    attempt.errno.as_ref().is_some_and(|e| e.name == name)
}

/// What the window says of the listener of the route called `name`.
pub(crate) fn listener<'a>(e: &'a Evidence, name: &str) -> Listener<'a> {
    let Some(host) = e.host.get() else { return Listener::NotSeen };
    let (view, sought) = match name {
        "front" => (&host.front_listener, host.front_listener_sought),
        "direct" => (&host.direct_listener, host.direct_listener_sought),
        _ => return Listener::NotSeen,
    };
    match view {
        Some(view) => Listener::There(view),
        None if sought => Listener::Missing,
        None => Listener::NotSeen,
    }
}

/// Listeners on the port of the route called `name` at other addresses of this host, where none is at its own.
pub(crate) fn elsewhere<'a>(e: &'a Evidence, name: &str) -> &'a [ListenerView] {
    match (e.host.get(), name) {
        (Some(host), "front") => &host.front_elsewhere,
        (Some(host), "direct") => &host.direct_elsewhere,
        _ => &[],
    }
}

/// An attempt, as a fact.
pub(crate) fn fact(attempt: &Attempt) -> Fact {
    let Attempt { at, elapsed_ms, address, outcome, errno } = attempt;
    let said = match errno {
        Some(errno) => format!("connect: {errno} after {elapsed_ms}"),
        None if *outcome == ConnectOutcome::Connected => format!("connected after {elapsed_ms}"),
        None => format!("connect: no answer after {elapsed_ms}"),
    };
    let value = errno.as_ref().map_or_else(|| format!("{outcome:?}").to_lowercase(), |e| e.name.clone());
    Fact::new(Source::Tcp, at.plus(*elapsed_ms), address, said).value(value)
}

/// The facts of all other attempts of a finding's routes.
pub(crate) fn other_facts(way: &Struck<'_>, proof: &Attempt) -> Vec<Fact> {
    let routes = std::iter::once(&way.route).chain(&way.others);
    let attempts = routes.filter_map(|r| r.network.as_ref()).flat_map(|n: &NetworkEvidence| &n.attempts);
    attempts.filter(|a| *a != proof).take(8).map(fact).collect()
}

/// What the window says of a listener, as a fact.
pub(crate) fn listener_fact(e: &Evidence, attempt: &Attempt, seen: Listener<'_>) -> Option<Fact> {
    let host = e.host.get()?;
    let said = match seen {
        Listener::There(view) => {
            let who = view.pid.map_or_else(|| "a process".to_owned(), |pid| format!("pid {pid}"));
            let backlog = view.backlog.map_or(String::new(), |b| format!(" of {b}"));
            let fact = format!("{who} listens on {}; {}{backlog} wait unaccepted", view.address, view.recv_q);
            return Some(Fact::new(Source::Host, host.at, &view.address, fact).value(view.recv_q));
        }
        Listener::Missing => "nothing listens there",
        Listener::NotSeen => return None,
    };
    Some(Fact::new(Source::Host, host.at, &attempt.address, said).value(false))
}

/// How long an attempt took and what the system called it, for a summary: `ECONNREFUSED 111 after 0.2 ms`.
pub(crate) fn how(attempt: &Attempt) -> String {
    let after = |span: Ms, errno: &Errno| format!("{errno} after {span}");
    match &attempt.errno {
        Some(errno) => after(attempt.elapsed_ms, errno),
        None => format!("no answer after {}", attempt.elapsed_ms),
    }
}

/// Adds to a finding what its routes' other attempts and the window say.
pub(crate) fn with_context(finding: Finding, e: &Evidence, way: &Struck<'_>, attempt: &Attempt) -> Finding {
    let seen = listener(e, way.name);
    finding.and_all(other_facts(way, attempt)).and_all(listener_fact(e, attempt, seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected};

    #[test]
    fn an_answer_decides_over_silence_and_over_a_family_that_this_host_lacks() {
        let six = ("[fdaa::3]:5432", ConnectOutcome::Unreachable, Some(101));
        for (list, expected) in [
            (vec![six, (ADDRESS, ConnectOutcome::Refused, Some(111))], ConnectOutcome::Refused),
            (vec![six, (ADDRESS, ConnectOutcome::Silent, None)], ConnectOutcome::Silent),
            (
                vec![
                    (ADDRESS, ConnectOutcome::Silent, None),
                    ("10.0.0.8:5432", ConnectOutcome::Refused, Some(111)),
                ],
                ConnectOutcome::Refused,
            ),
        ] {
            assert_eq!(decisive(&unconnected(&list).front).expect("failed").outcome, expected);
        }
        assert!(decisive(&healthy().front).is_none());
    }

    #[test]
    fn addresses_are_told_apart() {
        let e = unconnected(&[("[::1]:5432", ConnectOutcome::Refused, Some(111))]);
        let attempt = decisive(&e.front).expect("failed");
        assert!(is_v6(attempt) && is_loopback(attempt) && !is_socket(attempt) && is(attempt, "ECONNREFUSED"));
        assert_eq!(how(attempt), "ECONNREFUSED 111 after 0.2 ms");
    }
}
