//! `lossy-network`: packets get lost on the way, and each costs a wait.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::network::carriage::{Lost, aftermath_fact, fact, lossy, lost, silence_fact, transport};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, Ms, RemedyKind, RemedyPlan};

cause! {
    /// The network between here and the database loses packets, and everything takes long.
    ///
    /// ## What it is
    /// Single packets vanish: a congested or broken link, a policer, a duplex mismatch, a host that drops what it cannot
    /// take. TCP sends them again, and each loss costs at least 200 ms, a lost SYN a whole second, then two, then four.
    /// Logins take seconds, pools time out under load, and nothing is refused.
    ///
    /// ## What proves it
    /// The kernel's account of pgmedic's own connection: segments that had to be sent again, or that came with one missing
    /// before them, on a walk that was slow. `ss -ti dst ADDRESS` shows `retrans` and a growing `rto`; `nstat -az
    /// TcpRetransSegs` grows; `mtr -T -P PORT HOST` shows from which hop on.
    ///
    /// ## What mends it
    /// 1. Find the hop: `mtr`, then the interface's own counters (`ip -s link`, `ethtool -S`).
    /// 2. Take the broken link, host or path out of use.
    /// 3. Until then: fewer new connections (a pool), for each one pays for several round trips.
    ///
    /// ## What makes it worse
    /// A larger pool, shorter timeouts with retries: more packets into the same link. Restarting the database: all clients
    /// log in at once over it.
    ///
    /// ## What prevents it
    /// An objective on connect time (`pgmedic` measures each stage); alerts on `TcpRetransSegs` and interface drops.
    ///
    /// ## References
    /// RFC 6298 (retransmission timer: 1 s for a SYN); the kernel's `TCP_RTO_MIN` (200 ms); tcp(7), TCP_INFO; ss(8); mtr(8).
    "lossy-network" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    unanswered(e).or_else(|| slow(e))
}

/// An answer that was sent, and lost with its connection, while another connection works.
fn unanswered(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| lost(r) == Some(Lost::ThisConnection))?;
    let address = &way.route.address;
    let summary = format!(
        "{address} has answered and the answer was lost on the way, while another connection works{}",
        way.on_the_way()
    );
    let proof = silence_fact(way.route)?;
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Likely, summary, proof)
        .and_all(aftermath_fact(way.route))
        .and_all(transport(way.route).map(fact))
        .or_else("half-open-session", "walk again: where every walk ends so, it is no chance loss");
    Some(finding.mended_by(look(address)))
}

/// Everything was answered, late, and segments were lost.
fn slow(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| r.admitted() && lost(r).is_none() && lossy(r).is_some())?;
    let (account, address) = (lossy(way.route)?, &way.route.address);
    let losses = account.retransmitted + account.out_of_order.unwrap_or(0);
    let summary = format!(
        "the network loses packets on the way to {address}: {losses} of one short connection, which took {}{}",
        took(way.route),
        way.on_the_way()
    );
    // Nothing has failed yet: a warning on whichever way it is.
    let severity = pgmedic_model::Severity::Warning;
    let finding = Finding::new(CAUSE.id, CAUSE.room, severity, Confidence::Likely, summary, fact(account));
    let decider = "`nstat -az TcpExtTCPSpuriousRTOs`: a peer that is starved of CPU acknowledges late, and nothing is lost";
    Some(finding.or_else("host-starved", decider).mended_by(look(address)))
}

/// The time from the first packet to the query's answer.
fn took(route: &RouteEvidence) -> Ms {
    let spans = [
        route.network.as_ref().map(|n| n.elapsed_ms),
        route.proxy.as_ref().map(|p| p.elapsed_ms),
        route.tls.as_ref().map(|t| t.elapsed_ms),
        route.startup.as_ref().map(|s| s.elapsed_ms),
        route.query.as_ref().map(|q| q.elapsed_ms),
    ];
    Ms(spans.into_iter().flatten().map(|span| span.0).sum())
}

/// Advice to find the hop.
fn look(address: &str) -> RemedyPlan {
    let (host, port) = host_and_port(address);
    let host = argument(host);
    let plan = "find the hop from which on packets get lost, and take it out of use";
    let command =
        format!("mtr -T -P {port} -c 50 -r {host}; ss -ti dst {host}; nstat -az TcpRetransSegs; ip -s link");
    RemedyPlan::by_hand("find-lossy-hop", RemedyKind::Advice, plan, command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::network::carriage::tests::{carried, small_answers, unanswered as silent};
    use pgmedic_model::Severity;

    #[test]
    fn lossy_network_is_a_warning_where_segments_were_sent_again() {
        let mut e = healthy();
        carried(&mut e, |t| t.retransmitted = 3);
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Likely));
        assert!(found.summary.contains("3 of one short connection"), "{}", found.summary);
        carried(&mut e, |t| t.retransmitted = 1);
        assert!(find(&e).is_none(), "one lost segment is no fault");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn lossy_network_where_the_answer_was_sent_and_lost() {
        let found = find(&silent(small_answers(true, "idle, ClientRead"))).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert!(find(&silent(small_answers(true, "active"))).is_none(), "the server is still at work");
        assert!(find(&silent(small_answers(false, "idle"))).is_none(), "large answers never come");
    }
}
