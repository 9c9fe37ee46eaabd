//! `mtu-black-hole`: small packets pass, large ones vanish.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::network::carriage::{Lost, aftermath_fact, fact, lost, silence_fact, transport};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// Small packets pass and large ones vanish on the way: logins work, real answers never come.
    ///
    /// ## What it is
    /// A tunnel, VPN or overlay network on the way carries less than the interfaces believe, and the message that should
    /// say so (ICMP "fragmentation needed", IPv6 "packet too big") is filtered. Connecting, logging in and `select 1` fit
    /// into small packets. The first answer that fills a packet is sent again and again and never arrives; the client
    /// hangs until its own timeout, and every small probe stays green.
    ///
    /// ## What proves it
    /// pgmedic asks twice: its first query's answer did not come; on a second connection a small answer came and one of
    /// 8,000 bytes did not. `ping -M do -s 1400 HOST` gets no answer where `ping -s 100 HOST` does; on the server `ss -ti`
    /// shows full-sized segments being sent again. A query that is itself large may be what is lost.
    ///
    /// ## What mends it
    /// 1. Find the size that passes: `ping -M do -s SIZE HOST`, larger and smaller, or `tracepath HOST`.
    /// 2. As relief, on either end: `ip route change … advmss 1200`, or `iptables -t mangle -A FORWARD -p tcp --tcp-flags
    ///    SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu` on the gateway of the tunnel.
    /// 3. Lower the MTU of the tunnel's interface on both ends, and let ICMP through.
    ///
    /// ## What makes it worse
    /// Trusting the probes: `pg_isready`, `select 1` and TCP checks all pass. Restarting the server or the API: every new
    /// connection hangs alike. Raising timeouts.
    ///
    /// ## What prevents it
    /// A check whose answer is larger than two segments; MSS clamping on every tunnel; `net.ipv4.tcp_mtu_probing=1` on both
    /// ends; ICMP type 3 code 4 allowed in firewalls.
    ///
    /// ## References
    /// RFC 1191 and RFC 8201 (path MTU discovery), RFC 2923 (its black holes), RFC 4821; ip(7), `IP_MTU_DISCOVER`; tcp(7),
    /// `tcp_mtu_probing`; tracepath(8); iptables-extensions(8), `TCPMSS`.
    "mtu-black-hole" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let large = |lost: Lost| matches!(lost, Lost::LargeAnswer | Lost::LargeSegments);
    let way = struck(e, Around::Behind, |r| lost(r).is_some_and(large))?;
    let proved = lost(way.route)? == Lost::LargeAnswer;
    let address = &way.route.address;
    let (confidence, what) = if proved {
        (Confidence::Certain, "small answers come and large ones do not")
    } else {
        (Confidence::Likely, "logins and small answers pass, and packets of full size do not arrive")
    };
    let summary = format!("{address}: {what}{}", way.on_the_way());
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, silence_fact(way.route)?)
            .and_all(aftermath_fact(way.route))
            .and_all(transport(way.route).map(fact));
    let finding = if proved {
        finding
    } else {
        finding.or_else("lossy-network", "walk again: what is lost by chance passes at another time")
    };
    let (host, _) = host_and_port(address);
    let host = argument(host);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "lower-segment-size",
        RemedyKind::Advice,
        "find the packet size that passes, then lower the MSS or the MTU on the tunnel between the two",
        format!(
            "ping -c 2 -s 100 {host}; ping -c 2 -M do -s 1400 {host}; tracepath {host}; ip route get {host}"
        ),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::network::carriage::tests::{carried, small_answers, unanswered};
    use pgmedic_model::Severity;

    #[test]
    fn mtu_black_hole_is_certain_where_a_small_answer_comes_and_a_large_one_does_not() {
        let e = unanswered(small_answers(false, "idle, ClientRead"));
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].cause.as_str(), found[0].severity, found[0].confidence),
            (CAUSE.id, Severity::Critical, Confidence::Certain)
        );
        assert_eq!(found[0].summary, "renderflow-db.internal:5432: small answers come and large ones do not");
        assert!(found[0].evidence[1].fact.contains("one of 8000 bytes did not come"));
    }

    #[test]
    fn mtu_black_hole_is_likely_where_the_large_query_is_what_is_lost() {
        let mut e = unanswered(small_answers(true, "idle, ClientRead"));
        carried(&mut e, |t| (t.unacked, t.retransmits) = (8, 4));
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[0].cause, "lossy-network");
    }

    #[test]
    fn mtu_black_hole_is_not_a_server_at_work_nor_one_that_hangs() {
        assert!(find(&unanswered(small_answers(true, "active, PgSleep"))).is_none());
        assert!(find(&unanswered(None)).is_none());
        assert!(find(&healthy()).is_none());
    }
}
