//! `packets-dropped`: connection attempts get no answer at all.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::platform::evidence::ListenerView;
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::network::reading::{Listener, decisive, ended, fact, listener, with_context};
use crate::rooms::proxy::silence;
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Severity, Source};

cause! {
    /// Connection attempts get no answer: packets are dropped on the way, or the host is down.
    ///
    /// ## What it is
    /// The first packet (SYN) leaves and nothing comes back, not even a refusal. A firewall or security group
    /// drops it, the host or machine is stopped, the address is stale, or the way back is missing. Clients
    /// wait for their whole connect timeout.
    ///
    /// ## What proves it
    /// The client's socket stays in `SYN-SENT`. On the server no SYN arrives (`tcpdump -ni any port 5432`),
    /// or the firewall's drop counter grows (`iptables -L -v -n`). A server whose accept queue is full drops
    /// SYNs as well: then `ss -ltn` shows Recv-Q above Send-Q for its listener, and the server is what hangs.
    ///
    /// ## What mends it
    /// 1. Is the host up? The platform's status, or `ping`.
    /// 2. Is the address right? Compare it with the machine's own.
    /// 3. The firewall or security group between the two: allow the API's network to the port.
    ///
    /// ## What makes it worse
    /// Restarting the API: nothing is wrong with it, and each new instance waits again. Raising connect
    /// timeouts: requests pile up.
    ///
    /// ## What prevents it
    /// A connect timeout of a few seconds, an alert on connect time, firewall rules tested from where the API
    /// runs.
    ///
    /// ## References
    /// tcp(7), `tcp_syn_retries`; connect(2), ETIMEDOUT; listen(2), on the backlog; ss(8).
    "packets-dropped" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    on_a_way(e).or_else(|| behind_the_hop(e))
}

/// The hop in front is seen on this host waiting for an answer to its own SYN, while it keeps the walk waiting.
fn behind_the_hop(e: &Evidence) -> Option<Finding> {
    silence::at_the_door(&e.front).or_else(|| silence::after_the_login(&e.front))?;
    let host = e.host.get()?;
    let (proxy, address) = (host.proxy.as_ref()?, host.proxy_connecting.first()?);
    let summary =
        format!("{} (pid {}) gets no answer from {address}, the server behind it", proxy.program, proxy.pid);
    let said = format!("its connection to {address} is in SYN-SENT: not even a refusal comes back");
    let proof = Fact::new(Source::Host, host.at, format!("pid {}", proxy.pid), said).value(address.as_str());
    let finding = Finding::new(CAUSE.id, CAUSE.room, Severity::Critical, Confidence::Likely, summary, proof);
    let decider = "`ss -ltn` on the server's host: Recv-Q above Send-Q means that the server does not accept";
    Some(finding.or_else("server-hung", decider).mended_by(look(address)))
}

fn on_a_way(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| ended(r, &[ConnectOutcome::Silent]))?;
    let attempt = decisive(way.route)?;
    let seen = listener(e, way.name);
    if queue_is_full(seen) && listening_process_is_frozen(e) {
        return None;
    }
    let confidence = match seen {
        Listener::There(_) if queue_is_full(seen) => Confidence::Possible,
        Listener::There(_) => Confidence::Certain,
        Listener::Missing | Listener::NotSeen => Confidence::Likely,
    };
    let why = if queue_is_full(seen) {
        "; its listener's queue is full, so its kernel drops newcomers"
    } else {
        ""
    };
    let summary =
        format!("no answer from {} within {}{why}{}", attempt.address, attempt.elapsed_ms, way.on_the_way());
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt));
    let mut finding = with_context(finding, e, &way, attempt);
    if confidence != Confidence::Certain {
        let decider =
            "`ss -ltn` on the server's host: Recv-Q above Send-Q means that the server does not accept";
        finding = finding.or_else("server-hung", decider);
    }
    Some(finding.mended_by(look(&attempt.address)))
}

/// As many connections wait unaccepted as may.
fn queue_is_full(seen: Listener<'_>) -> bool {
    matches!(seen, Listener::There(ListenerView { recv_q, backlog: Some(backlog), .. }) if recv_q >= backlog)
}

/// The process that should accept cannot run: its own cause says so.
fn listening_process_is_frozen(e: &Evidence) -> bool {
    let Some(host) = e.host.get() else { return false };
    [&host.proxy, &host.postmaster]
        .into_iter()
        .flatten()
        .any(crate::platform::evidence::ProcessView::is_frozen)
}

/// Advice to follow the packets.
fn look(address: &str) -> RemedyPlan {
    let (host, port) = host_and_port(address);
    let host = argument(host);
    RemedyPlan::by_hand(
        "open-the-way",
        RemedyKind::Advice,
        "see whether the host is up and where the packets end; then allow the API's network to the port",
        format!(
            "ping -c 3 {host}; ip route get {host}; nc -vz -w 3 {host} {port}; iptables -L -v -n | grep -i drop"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, first_bytes, healthy, unconnected, window};
    use crate::platform::evidence::ProcessView;
    use crate::rooms::proxy::evidence::FirstBytes;

    const SILENT: (&str, ConnectOutcome, Option<i32>) = (ADDRESS, ConnectOutcome::Silent, None);

    #[test]
    fn packets_dropped_is_likely_from_outside() {
        let found = find(&unconnected(&[SILENT])).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert_eq!(found.summary, "no answer from 10.0.0.7:5432 within 3.0 s");
        assert_eq!(found.alternatives[0].cause, "server-hung");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn packets_dropped_is_certain_where_a_listener_waits_in_vain() {
        let mut e = unconnected(&[SILENT]);
        window(&mut e, |host| {
            host.front_listener =
                Some(ListenerView { backlog: Some(244), pid: Some(9), ..ListenerView::default() });
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.evidence.iter().any(|f| f.fact.contains("pid 9 listens")));
    }

    #[test]
    fn packets_dropped_gives_way_to_a_frozen_server_whose_queue_is_full() {
        let full = ListenerView { recv_q: 5, backlog: Some(4), ..ListenerView::default() };
        let mut e = unconnected(&[SILENT]);
        window(&mut e, |host| host.front_listener = Some(full.clone()));
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Possible);
        assert!(found.summary.contains("queue is full"));
        window(&mut e, |host| {
            host.front_listener = Some(full);
            host.postmaster = Some(ProcessView { pid: 9, state: 'T', ..ProcessView::default() });
        });
        assert!(find(&e).is_none());
    }

    #[test]
    fn packets_dropped_behind_the_hop_are_seen_in_its_unanswered_syn() {
        let mut e = first_bytes(FirstBytes::Silent);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView { pid: Some(7), ..ListenerView::default() });
            host.proxy =
                Some(ProcessView { pid: 7, program: "haproxy".into(), state: 'S', ..ProcessView::default() });
            host.proxy_upstream = Some(vec![]);
            host.proxy_connecting = vec!["10.0.0.7:5433".into()];
        });
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Likely));
        assert_eq!(
            found[0].summary,
            "haproxy (pid 7) gets no answer from 10.0.0.7:5433, the server behind it"
        );
    }
}
