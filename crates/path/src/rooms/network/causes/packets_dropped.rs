//! `packets-dropped`: connection attempts get no answer at all.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::network::carriage::{self, Lost};
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
    /// wait for their whole connect timeout. A filter may also let the handshake pass and drop what follows:
    /// then TCP connects, and nothing that is sent is ever acknowledged.
    ///
    /// ## What proves it
    /// The client's socket stays in `SYN-SENT`; or it is connected, and the kernel's account of it shows data
    /// unacknowledged and sent again in vain (`ss -tio`), which a mere hang of the server never does: its
    /// kernel acknowledges for it. On the server no SYN arrives (`tcpdump -ni any port 5432`),
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
    on_a_way(e).or_else(|| behind_the_hop(e)).or_else(|| after_the_handshake(e))
}

/// TCP connected, and what was sent since is not acknowledged: a filter lets the handshake pass and nothing after it.
fn after_the_handshake(e: &Evidence) -> Option<Finding> {
    if silence::weigh(e).is_some() {
        return None;
    }
    let cut = |r: &RouteEvidence| {
        carriage::unheard_at_the_door(r).is_some() || carriage::lost(r) == Some(Lost::Everything)
    };
    let way = struck(e, Around::Behind, cut)?;
    let (account, address) = (carriage::transport(way.route)?, &way.route.address);
    let seen = listener(e, way.name);
    let confidence = match seen {
        Listener::There(_) if !queue_is_full(seen) => Confidence::Certain,
        _ => Confidence::Likely,
    };
    let since = if way.route.admitted() { "the login" } else { "the handshake" };
    let summary = format!(
        "{address} acknowledges nothing since {since}: packets are dropped on the way{}",
        way.on_the_way()
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, carriage::fact(account))
            .and_all(carriage::silence_fact(way.route))
            .and_all(carriage::aftermath_fact(way.route));
    let finding = if confidence == Confidence::Certain {
        finding
    } else {
        let decider = "`ss -ltn` on the server's host: Recv-Q above Send-Q means that its queue is full";
        finding.or_else("accept-queue-full", decider)
    };
    Some(finding.mended_by(look(address)))
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
    if queue_is_full(seen) {
        return None;
    }
    let confidence = match seen {
        Listener::There(_) => Confidence::Certain,
        Listener::Missing | Listener::NotSeen => Confidence::Likely,
    };
    let summary =
        format!("no answer from {} within {}{}", attempt.address, attempt.elapsed_ms, way.on_the_way());
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt));
    let mut finding = with_context(finding, e, &way, attempt);
    if confidence != Confidence::Certain {
        let decider =
            "`ss -ltn` on the server's host: Recv-Q above Send-Q means that the server does not accept";
        finding = finding.or_else("accept-queue-full", decider);
    }
    Some(finding.mended_by(look(&attempt.address)))
}

/// The kernel itself drops newcomers, for want of room.
fn queue_is_full(seen: Listener<'_>) -> bool {
    matches!(seen, Listener::There(view) if view.is_full())
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
    use crate::platform::evidence::{ListenerView, ProcessView};
    use crate::rooms::network::carriage::tests::carried;
    use crate::rooms::proxy::evidence::FirstBytes;

    const SILENT: (&str, ConnectOutcome, Option<i32>) = (ADDRESS, ConnectOutcome::Silent, None);

    #[test]
    fn packets_dropped_is_likely_from_outside() {
        let found = find(&unconnected(&[SILENT])).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert_eq!(found.summary, "no answer from 10.0.0.7:5432 within 3.0 s");
        assert_eq!(found.alternatives[0].cause, "accept-queue-full");
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
    fn packets_dropped_gives_way_to_a_queue_that_is_full() {
        let full = ListenerView { recv_q: 5, backlog: Some(4), ..ListenerView::default() };
        let mut e = unconnected(&[SILENT]);
        window(&mut e, |host| host.front_listener = Some(full));
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

    #[test]
    fn packets_dropped_after_the_handshake_are_those_that_nobody_acknowledges() {
        let mut e = first_bytes(FirstBytes::Silent);
        carried(&mut e, |t| (t.unacked, t.retransmits, t.retransmitted) = (1, 4, 4));
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Likely));
        assert_eq!(found[0].alternatives[0].cause, "accept-queue-full");
        carried(&mut e, |_| {});
        assert!(find(&e).is_none(), "its kernel acknowledges: a process hangs");
    }

    #[test]
    fn packets_dropped_gives_way_to_a_server_that_the_window_shows_to_be_stopped() {
        let mut e = first_bytes(FirstBytes::Silent);
        carried(&mut e, |t| (t.unacked, t.retransmits) = (1, 4));
        window(&mut e, |host| {
            host.postmaster = Some(ProcessView { pid: 9, state: 'T', ..ProcessView::default() });
        });
        assert!(find(&e).is_none());
    }
}
