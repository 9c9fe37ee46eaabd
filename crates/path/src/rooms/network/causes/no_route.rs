//! `no-route`: this host has no way to the address.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{
    self, Listener, decisive, fact, how, is, is_socket, is_v6, listener, with_context,
};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// This host has no way to the database's address.
    ///
    /// ## What it is
    /// The kernel knows no route to the address (ENETUNREACH), a black-hole or unreachable route covers it
    /// (EINVAL, EHOSTUNREACH), the address family is missing, or the neighbour that should have the address
    /// does not answer. The VPN or private network is down, or the address belongs to another network. For a
    /// unix socket: its directory may not be entered.
    ///
    /// ## What proves it
    /// `ip route get ADDRESS` on the host of the API says `unreachable`, `Network is unreachable` or names a
    /// black hole. EHOSTUNREACH may also be a firewall's answer: then the route is there, and the server
    /// listens.
    ///
    /// ## What mends it
    /// 1. Bring the private network up (`wg show`, `ip addr`, the platform's network status).
    /// 2. Remove the wrong route: `ip route del blackhole NETWORK`.
    /// 3. If the address is wrong, mend the name or the URL.
    ///
    /// ## What makes it worse
    /// Restarting the database: it is not reached at all, and running sessions from elsewhere are lost.
    ///
    /// ## What prevents it
    /// A check of the route at boot of the API's host; monitoring of the VPN itself.
    ///
    /// ## References
    /// connect(2), ENETUNREACH; ip(7), EHOSTUNREACH; ip-route(8), route types `unreachable`, `blackhole`,
    /// `prohibit`; unix(7), EACCES.
    "no-route" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| decisive(r).is_some_and(|a| verdict(a).is_some()))?;
    let attempt = decisive(way.route)?;
    let (confidence, what) = verdict(attempt)?;
    if reading::missing_family(way.route).is_some() {
        return None;
    }
    let rejected = attempt.outcome == ConnectOutcome::Rejected;
    if rejected && matches!(listener(e, way.name), Listener::There(_)) {
        return None;
    }
    let summary = format!("{what} {}: {}{}", attempt.address, how(attempt), way.on_the_way());
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt));
    let mut finding = with_context(finding, e, &way, attempt);
    if rejected {
        let decider = "`ip route get` on this host: a route that is in order means that a firewall says no";
        finding = finding.or_else("firewall-rejects", decider);
    } else if confidence != Confidence::Certain {
        finding =
            finding.or_else("client-ports-exhausted", "`ss -s` on this host: tens of thousands of sockets");
    }
    Some(finding.mended_by(look(attempt)))
}

/// How surely an attempt failed for want of a way, and in which words.
fn verdict(attempt: &Attempt) -> Option<(Confidence, &'static str)> {
    match attempt.outcome {
        ConnectOutcome::Unreachable => Some((Confidence::Certain, "this host has no route to")),
        ConnectOutcome::Rejected => Some((Confidence::Likely, "there is no way to")),
        ConnectOutcome::CannotTry if is(attempt, "EAFNOSUPPORT") => {
            Some((Confidence::Certain, "this host has no address family for"))
        }
        ConnectOutcome::CannotTry if is(attempt, "EADDRNOTAVAIL") && is_v6(attempt) => {
            Some((Confidence::Likely, "this host has no IPv6 address to reach"))
        }
        ConnectOutcome::Forbidden if is_socket(attempt) => {
            Some((Confidence::Certain, "this user may not open the socket"))
        }
        _ => None,
    }
}

/// Advice to look at the route, or at the socket's directory.
fn look(attempt: &Attempt) -> RemedyPlan {
    let (host, _) = host_and_port(&attempt.address);
    let (plan, command) = if is_socket(attempt) {
        (
            "let the API's user enter the socket's directory",
            format!("namei -l {}", argument(&attempt.address)),
        )
    } else {
        let plan = "see which route the kernel takes, and bring the network behind it up";
        (
            plan,
            format!("ip route get {}; ip -br addr; ip route show table all type blackhole", argument(host)),
        )
    };
    RemedyPlan::by_hand("restore-route", RemedyKind::Advice, plan, command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected, window};
    use crate::platform::evidence::ListenerView;

    #[test]
    fn no_route_is_certain_where_this_hosts_own_table_says_so() {
        for errno in [101, 22] {
            let found =
                find(&unconnected(&[(ADDRESS, ConnectOutcome::Unreachable, Some(errno))])).expect("found");
            assert_eq!(found.confidence, Confidence::Certain);
            assert!(found.summary.starts_with("this host has no route to 10.0.0.7:5432: E"));
        }
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn no_route_is_likely_where_a_firewall_may_have_answered() {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Rejected, Some(113))]);
        let found = find(&e).expect("found");
        assert_eq!(
            (found.confidence, found.alternatives[0].cause.as_str()),
            (Confidence::Likely, "firewall-rejects")
        );
        window(&mut e, |host| host.front_listener = Some(ListenerView::default()));
        assert!(find(&e).is_none(), "the server listens: a firewall says no");
    }

    #[test]
    fn no_route_is_not_a_missing_ipv6_beside_an_ipv4_that_is_refused() {
        let six = ("[fdaa::3]:5432", ConnectOutcome::Unreachable, Some(101));
        assert!(find(&unconnected(&[six, (ADDRESS, ConnectOutcome::Refused, Some(111))])).is_none());
        assert!(find(&unconnected(&[six])).is_some());
    }

    #[test]
    fn no_route_tells_of_a_socket_that_may_not_be_opened() {
        let path = "/var/run/postgresql/.s.PGSQL.5432";
        let found = find(&unconnected(&[(path, ConnectOutcome::Forbidden, Some(13))])).expect("found");
        assert_eq!(found.remedies[0].command, "namei -l /var/run/postgresql/.s.PGSQL.5432");
    }
}
