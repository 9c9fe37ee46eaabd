//! `client-ports-exhausted`: the client's host has no local port left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{decisive, fact, is, is_v6, with_context};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// This host has no local port left for another connection to the database.
    ///
    /// ## What it is
    /// Every ephemeral port towards the database's address is in use, mostly in `TIME-WAIT`: something
    /// connects anew for each request. connect(2) fails with EADDRNOTAVAIL before a packet leaves. The
    /// database is well. pgmedic saw this on the host where it runs; it speaks of the API where that runs on
    /// the same host.
    ///
    /// ## What proves it
    /// `ss -s` shows as many sockets in `timewait` as `net.ipv4.ip_local_port_range` has ports.
    ///
    /// ## What mends it
    /// 1. Find who connects that often: `ss -tanp state time-wait | awk '{print $4}' | sort | uniq -c | sort
    ///    -n | tail`.
    /// 2. Restart that instance; let it use a pool in place of a connection for each request.
    /// 3. As relief: `sysctl -w net.ipv4.tcp_tw_reuse=1` and a wider `net.ipv4.ip_local_port_range`.
    ///
    /// ## What makes it worse
    /// Touching the database at all. Retrying faster: each attempt takes another port.
    ///
    /// ## What prevents it
    /// Connection pools; an alert on sockets in `TIME-WAIT`.
    ///
    /// ## References
    /// connect(2), EADDRNOTAVAIL; ip(7), `ip_local_port_range`; tcp(7), `tcp_tw_reuse`; ss(8).
    "client-ports-exhausted" in Network,
    proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    // For IPv6 the same errno rather means that this host has no address of that family.
    let out_of_ports =
        |a: &Attempt| a.outcome == ConnectOutcome::CannotTry && is(a, "EADDRNOTAVAIL") && !is_v6(a);
    let way = struck(e, Around::Aside, |r| decisive(r).is_some_and(out_of_ports))?;
    let attempt = decisive(way.route)?;
    let summary = format!(
        "this host has no local port left to reach {}: EADDRNOTAVAIL{}",
        attempt.address,
        way.on_the_way()
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(attempt));
    let plan =
        "find what connects anew for each request and restart that instance; widen the range as relief";
    Some(with_context(finding, e, &way, attempt).mended_by(RemedyPlan::by_hand(
        "free-local-ports",
        RemedyKind::Advice,
        plan,
        "ss -s; sysctl net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected};

    #[test]
    fn client_ports_exhausted_is_eaddrnotavail_on_ipv4() {
        let found = find(&unconnected(&[(ADDRESS, ConnectOutcome::CannotTry, Some(99))])).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.summary, "this host has no local port left to reach 10.0.0.7:5432: EADDRNOTAVAIL");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn client_ports_exhausted_is_neither_a_missing_family_nor_missing_descriptors() {
        assert!(find(&unconnected(&[("[fdaa::3]:5432", ConnectOutcome::CannotTry, Some(99))])).is_none());
        assert!(find(&unconnected(&[(ADDRESS, ConnectOutcome::CannotTry, Some(24))])).is_none());
    }
}
