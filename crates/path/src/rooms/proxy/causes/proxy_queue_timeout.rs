//! `proxy-queue-timeout`: the proxy gives newcomers up in front of full servers.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::queue::given_up;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The proxy lets newcomers wait for a full server, and hangs up on them after a while.
    ///
    /// ## What it is
    /// Each `server` line of HAProxy may have a `maxconn`. Once every server has as many, newcomers stand in HAProxy's queue
    /// and hear nothing; after `timeout queue` (else `timeout connect`) HAProxy closes without a byte. To a client it looks
    /// like a proxy without a backend, only late.
    ///
    /// ## What proves it
    /// TCP connects, then a FIN with no bytes after just that time; `show stat` has every server `UP` with `scur` = `slim`
    /// and a `qcur` above 0; HAProxy's log ends such sessions with the flags `sQ` and `<NOSRV>`.
    ///
    /// ## What mends it
    /// 1. Find who holds the servers' places: `show sess` on the stats socket, `pg_stat_activity` behind it. Shrink or
    ///    restart that client's pool.
    /// 2. Raise the server's `maxconn` within what `max_connections` allows: `set maxconn server BACKEND/SERVER N`, at once.
    ///
    /// ## What makes it worse
    /// A longer `timeout queue`: requests pile up. Restarting the database: it is well. Restarting the proxy: all reconnect.
    ///
    /// ## What prevents it
    /// Pools whose sum fits into the servers' `maxconn`; an alert on `haproxy_server_current_queue`.
    ///
    /// ## References
    /// HAProxy configuration manual, `timeout queue`, server `maxconn`, 8.5 (`sQ`); management guide, 9.3 (`set maxconn
    /// server`).
    "proxy-queue-timeout" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let given_up = given_up(e)?;
    let proxy = given_up.proxy;
    let said = format!("the peer closed after {} without a byte", proxy.elapsed_ms);
    let proof = Fact::new(Source::Bytes, proxy.at, &e.front.address, said).value(proxy.elapsed_ms.0);
    let full = given_up.taken.map_or_else(
        || "its servers had no room".to_owned(),
        |(now, may)| format!("its servers are full, {now} of {may}"),
    );
    let summary = format!(
        "the proxy at {} gave its client up after {} in the queue: {full}",
        e.front.address, proxy.elapsed_ms
    );
    let confidence = if given_up.taken.is_some() { Confidence::Certain } else { Confidence::Likely };
    let socket = e.host.get().and_then(|h| h.haproxy.as_ref()).map_or_else(String::new, |v| v.socket.clone());
    let ask = |command: &str| format!("echo '{command}' | socat stdio UNIX-CONNECT:{socket}");
    let mut finding = Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, confidence, summary, proof)
        .and_all(given_up.facts);
    if confidence != Confidence::Certain {
        finding = finding.or_else(
            "proxy-without-backend",
            "`show stat` while it happens: servers `UP` and full, or `DOWN`",
        );
    }
    Some(
        finding
            .mended_by(RemedyPlan::by_hand(
                "find-the-hoarder",
                RemedyKind::Advice,
                "see which client holds the servers' places, and shrink or restart that client's pool",
                ask("show sess"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "raise-server-limit",
                RemedyKind::Settings,
                "raise the limit of the server on the running proxy, within what max_connections allows",
                ask("set maxconn server BACKEND/SERVER N"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, window};
    use crate::platform::evidence::{HaproxyRow, HaproxyTimeouts, HaproxyView};
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Ms;

    fn closed_after(ms: f64, status: &str, sessions: u64) -> Evidence {
        let mut e = first_bytes(FirstBytes::Closed);
        if let Some(proxy) = &mut e.front.proxy {
            proxy.elapsed_ms = Ms(ms);
        }
        window(&mut e, |host| {
            let row = HaproxyRow {
                proxy: "pg".into(),
                server: "s1".into(),
                status: status.into(),
                sessions,
                limit: Some(2),
                ..HaproxyRow::default()
            };
            let timeouts = HaproxyTimeouts { queue_ms: Some(Ms(3_000.0)), ..HaproxyTimeouts::default() };
            host.haproxy = Some(HaproxyView { rows: vec![row], timeouts, ..HaproxyView::default() });
        });
        e
    }

    #[test]
    fn proxy_queue_timeout_is_certain_where_every_server_is_full() {
        let found = crate::diagnose(&closed_after(3_010.0, "UP", 2));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Certain));
        assert!(
            found[0].summary.ends_with("in the queue: its servers are full, 2 of 2"),
            "{}",
            found[0].summary
        );
    }

    #[test]
    fn proxy_queue_timeout_is_neither_a_server_that_is_down_nor_an_end_at_once() {
        assert!(find(&closed_after(3_010.0, "DOWN", 2)).is_none());
        assert!(find(&closed_after(3_010.0, "UP", 1)).is_none());
        assert!(find(&closed_after(2.0, "UP", 2)).is_none());
        assert!(find(&healthy()).is_none());
    }
}
