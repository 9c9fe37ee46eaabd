//! `proxy-hung`: the proxy is stopped or stuck.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::silence::{Silent, weigh};
use pgmedic_model::{Action, Finding, RemedyKind, RemedyPlan, Room};

cause! {
    /// The proxy in front of the database hangs: it is connected to and never answers.
    ///
    /// ## What it is
    /// The kernel completes connections on the proxy's behalf; the proxy itself is stopped or stuck, so nothing is
    /// passed on. To a client this looks just like a proxy at its connection limit and like a hung postmaster.
    ///
    /// ## What proves it
    /// TCP connects, then silence; the way around the proxy logs in; on the proxy's host its process is stopped
    /// (`T`) or stuck (`D`), connections wait in its listener's Recv-Q (`ss -ltn`), and its stats socket is silent too.
    ///
    /// ## What mends it
    /// Restart the proxy *process* only (a supervisor brings it back), then, if that does not do, its machine. A
    /// stopped process may only want `kill -CONT`. Postgres itself is well: leave it alone.
    ///
    /// ## What makes it worse
    /// Restarting Postgres: it costs a recovery, drops the sessions that go around the proxy, and mends nothing.
    ///
    /// ## What prevents it
    /// A watchdog on the proxy's stats socket; `direct` configured, so that the walk can go around it.
    ///
    /// ## References
    /// ss(8), proc(5) on process states. HAProxy management guide, 9.3. Runbook, section 2.
    "proxy-hung" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let verdict = weigh(e).filter(|v| v.who == Silent::Proxy)?;
    let pid = e.host.get().and_then(|h| h.proxy.as_ref()).map(|p| p.pid);
    let command = pid.map_or_else(
        || "ps -o pid,stat,wchan:32,cmd -C haproxy; ss -ltn   # on the proxy's host".to_owned(),
        |pid| {
            format!(
                "ps -o pid,stat,wchan:32,cmd -p {pid}; kill -CONT {pid}   # else restart that process alone"
            )
        },
    );
    Some(
        verdict.into_finding(CAUSE.id, Room::Proxy).mended_by(
            RemedyPlan::by_hand(
                "restart-proxy",
                RemedyKind::ProxyRestart,
                "restart the proxy's process, not the database; the database's own sessions live on",
                command,
            )
            .doing(Action::RestartProxy),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{admitted, first_bytes, healthy, window};
    use crate::platform::evidence::{ListenerView, ProcessView};
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Confidence;

    #[test]
    fn proxy_hung_is_possible_where_only_the_way_around_it_tells() {
        let mut e = first_bytes(FirstBytes::Silent);
        e.direct = Seen::Seen(admitted("db:5433"));
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Possible);
        let others: Vec<_> = found.alternatives.iter().map(|a| a.cause.as_str()).collect();
        assert_eq!(others, ["proxy-client-limit", "pooler-hung", "packets-dropped"]);
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn proxy_hung_is_certain_where_the_process_is_stopped() {
        let mut e = first_bytes(FirstBytes::Silent);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView { recv_q: 2, pid: Some(7), ..ListenerView::default() });
            host.proxy =
                Some(ProcessView { pid: 7, program: "haproxy".into(), state: 'T', ..ProcessView::default() });
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.alternatives.is_empty());
        assert!(found.remedies[0].command.contains("-p 7"));
    }

    #[test]
    fn proxy_hung_is_likely_where_it_accepts_and_has_no_connection_of_its_own() {
        let mut e = first_bytes(FirstBytes::Silent);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView { pid: Some(7), ..ListenerView::default() });
            host.proxy =
                Some(ProcessView { pid: 7, program: "stunnel".into(), state: 'S', ..ProcessView::default() });
            host.proxy_upstream = Some(vec![]);
        });
        assert_eq!(find(&e).expect("found").confidence, Confidence::Likely);
    }
}
