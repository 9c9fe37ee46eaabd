//! `firewall-rejects`: a firewall says no in the server's place.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{Listener, decisive, fact, how, is_socket, listener, with_context};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// A firewall rejects the connection although the server listens.
    ///
    /// ## What it is
    /// A packet filter answers in the server's place: with a reset or port-unreachable, which looks like a
    /// closed port (ECONNREFUSED), or with host-unreachable or admin-prohibited, which looks like a missing
    /// route (EHOSTUNREACH, `No route to host`). On this host itself EPERM or EACCES is its own filter or a
    /// `prohibit` route.
    ///
    /// ## What proves it
    /// The server's host shows a process that listens on the port (`ss -ltnp`), while the client is refused.
    /// The filter's counters grow with each attempt: `iptables -L -v -n`, `nft list ruleset`.
    ///
    /// ## What mends it
    /// Allow the API's network to the port, as narrowly as it is known, and walk again.
    ///
    /// ## What makes it worse
    /// Restarting the database: it is well, and a restart ends the sessions that still work. Switching the
    /// firewall off.
    ///
    /// ## What prevents it
    /// Rules in version control; a connection test from the API's network after each change.
    ///
    /// ## References
    /// iptables-extensions(8), `REJECT --reject-with`; connect(2), ECONNREFUSED, EPERM; ip(7), EHOSTUNREACH;
    /// firewall-cmd(1).
    "firewall-rejects" in Network,
    proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let says_no = |a: &Attempt| {
        let refusal = matches!(a.outcome, ConnectOutcome::Refused | ConnectOutcome::Rejected);
        let own = matches!(a.outcome, ConnectOutcome::Forbidden | ConnectOutcome::Reset);
        (refusal || own) && !is_socket(a)
    };
    let way = struck(e, Around::Behind, |r| decisive(r).is_some_and(says_no))?;
    let attempt = decisive(way.route)?;
    let listens = matches!(listener(e, way.name), Listener::There(_));
    let (confidence, who) = match attempt.outcome {
        ConnectOutcome::Forbidden => (Confidence::Certain, "this host's own firewall or a prohibit route"),
        ConnectOutcome::Rejected if listens => (Confidence::Certain, "a firewall"),
        // A server that came up between the attempt and the look leaves the same picture.
        ConnectOutcome::Refused if listens => (Confidence::Likely, "a firewall"),
        ConnectOutcome::Reset => (Confidence::Possible, "a firewall"),
        _ => return None,
    };
    let although = if listens { " although a process listens there" } else { "" };
    let summary =
        format!("{who} rejects {}{although}: {}{}", attempt.address, how(attempt), way.on_the_way());
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt));
    let mut finding = with_context(finding, e, &way, attempt);
    if confidence != Confidence::Certain {
        finding = finding.or_else("port-closed", "walk again: a server that has just come up is reached now");
    }
    let (host, port) = host_and_port(&attempt.address);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "allow-in-firewall",
        RemedyKind::Advice,
        "find the rule whose counter grows with each attempt, and allow the API's network to the port",
        format!(
            "nc -vz -w 3 {} {port}; iptables -L -v -n | grep -i reject; nft list ruleset",
            argument(host)
        ),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected, window};
    use crate::platform::evidence::ListenerView;

    #[test]
    fn firewall_rejects_where_the_window_shows_a_listener() {
        for (outcome, errno, confidence) in [
            (ConnectOutcome::Refused, 111, Confidence::Likely),
            (ConnectOutcome::Rejected, 113, Confidence::Certain),
        ] {
            let mut e = unconnected(&[(ADDRESS, outcome, Some(errno))]);
            assert!(find(&e).is_none(), "without a window it is another's");
            window(&mut e, |host| {
                host.front_listener = Some(ListenerView { pid: Some(9), ..ListenerView::default() })
            });
            let found = find(&e).expect("found");
            assert_eq!(found.confidence, confidence);
            assert!(found.summary.contains("although a process listens there"));
        }
    }

    #[test]
    fn firewall_rejects_is_certain_where_this_host_forbids_it_itself() {
        let found = find(&unconnected(&[(ADDRESS, ConnectOutcome::Forbidden, Some(1))])).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.starts_with("this host's own firewall"));
        let path = "/run/postgresql/.s.PGSQL.5432";
        assert!(find(&unconnected(&[(path, ConnectOutcome::Forbidden, Some(13))])).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn firewall_rejects_is_possible_where_the_handshake_is_reset() {
        let found = find(&unconnected(&[(ADDRESS, ConnectOutcome::Reset, Some(104))])).expect("found");
        assert_eq!((found.confidence, found.alternatives.len()), (Confidence::Possible, 1));
    }
}
