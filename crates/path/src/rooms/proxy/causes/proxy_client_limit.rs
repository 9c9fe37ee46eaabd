//! `proxy-client-limit`: the proxy takes no more connections.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::silence::{Silent, weigh};
use pgmedic_model::{Finding, RemedyKind, RemedyPlan, Room};

cause! {
    /// The proxy has as many connections as it may and leaves newcomers waiting.
    ///
    /// ## What it is
    /// At `maxconn` HAProxy stops accepting. The kernel still completes connections, so newcomers connect and then hear
    /// nothing until somebody leaves. To a client this looks just like a hung proxy.
    ///
    /// ## What proves it
    /// TCP connects, then silence; connections wait in the listener's Recv-Q; the process runs, its stats socket
    /// answers, and `show info` has CurrConns = Maxconn (or `show stat` has a FRONTEND at its session limit).
    ///
    /// ## What mends it
    /// Close what idles: find the client with the most connections and shrink or restart *its* pool. Then
    /// `set maxconn global N` (or `set maxconn frontend NAME N`) on the stats socket, which takes effect at once.
    ///
    /// ## What makes it worse
    /// Restarting the proxy: every client reconnects at the same moment. Raising `maxconn` above what the database has
    /// slots for only moves the queue.
    ///
    /// ## What prevents it
    /// An alert at 80 % of `maxconn`; pools whose sum fits; `maxconn` a little above `max_connections`.
    ///
    /// ## References
    /// HAProxy configuration manual, `maxconn`; management guide, 9.3 (`show info`, `set maxconn`).
    "proxy-client-limit" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let verdict = weigh(e).filter(|v| v.who == Silent::ProxyLimit)?;
    let socket = e.host.get().and_then(|h| h.haproxy.as_ref()).map(|v| v.socket.clone());
    let socket = socket.unwrap_or_else(|| "/run/haproxy/haproxy.sock".to_owned());
    Some(
        verdict
            .into_finding(CAUSE.id, Room::Proxy)
            .mended_by(RemedyPlan::by_hand(
                "find-the-hoarder",
                RemedyKind::Advice,
                "see which client holds the proxy's connections, and shrink or restart that client's pool",
                format!("echo 'show sess' | socat stdio UNIX-CONNECT:{socket} | grep -o 'src=[^:]*' | sort | uniq -c"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "raise-proxy-limit",
                RemedyKind::Settings,
                "raise the limit on the running proxy, within what the database has slots for",
                format!("echo 'set maxconn global N' | socat stdio UNIX-CONNECT:{socket}"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{admitted, first_bytes, healthy, window};
    use crate::platform::evidence::{HaproxyRow, HaproxyView, ListenerView, ProcessView};
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Confidence;

    fn at_limit(view: Option<HaproxyView>) -> Evidence {
        let mut e = first_bytes(FirstBytes::Silent);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView { recv_q: 1, pid: Some(7), ..ListenerView::default() });
            host.proxy =
                Some(ProcessView { pid: 7, program: "haproxy".into(), state: 'S', ..ProcessView::default() });
            host.haproxy = view;
        });
        e
    }

    #[test]
    fn proxy_client_limit_is_certain_by_haproxys_own_account() {
        let view = HaproxyView { current: Some(5), max: Some(5), ..HaproxyView::default() };
        let found = find(&at_limit(Some(view))).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.contains("5 of 5"));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn proxy_client_limit_is_likely_where_it_runs_and_does_not_accept() {
        let found = find(&at_limit(None)).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[0].cause, "proxy-hung");
    }

    #[test]
    fn proxy_client_limit_may_be_that_of_the_servers_with_a_queue_in_front() {
        let row = |server: &str, status: &str, sessions, limit, queued| HaproxyRow {
            proxy: "pg".into(),
            server: server.into(),
            status: status.into(),
            sessions,
            limit,
            queued,
            ..HaproxyRow::default()
        };
        let view = |second: HaproxyRow| HaproxyView {
            rows: vec![
                row("FRONTEND", "OPEN", 3, Some(4000), 0),
                row("s1", "no check", 2, Some(2), 0),
                second,
                row("BACKEND", "UP", 2, Some(400), 1),
            ],
            ..HaproxyView::default()
        };
        let found = find(&at_limit(Some(view(row("s2", "DOWN", 0, Some(2), 0))))).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.contains("2 of 2 connections (maxconn of the servers of pg, 1 queued)"));
        let free = find(&at_limit(Some(view(row("s2", "UP", 1, Some(2), 0))))).expect("found");
        assert_eq!(free.confidence, Confidence::Likely);
    }

    #[test]
    fn proxy_client_limit_is_possible_where_it_accepts_and_the_way_around_it_answers() {
        let mut e = at_limit(None);
        if let Seen::Seen(host) = &mut e.host {
            host.front_listener = Some(ListenerView { pid: Some(7), ..ListenerView::default() });
        }
        e.direct = Seen::Seen(admitted("db:5433"));
        assert_eq!(find(&e).expect("found").confidence, Confidence::Possible);
    }
}
