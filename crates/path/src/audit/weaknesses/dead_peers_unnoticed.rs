//! `dead-peers-unnoticed`: the server does not notice a client that has vanished.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Change, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// The server does not notice for two hours that a client has vanished: its sessions keep their slots and locks.
    ///
    /// ## What it is
    /// A machine that is lost sends no FIN. Linux first asks after 7,200 s whether an idle peer is there (`tcp_keepalives_idle`
    /// = 0 takes that), waits for some 15 minutes for data to be acknowledged (`tcp_user_timeout` = 0), and a backend that
    /// works does not look at its client at all (`client_connection_check_interval` = 0, 14+).
    ///
    /// ## What breaks
    /// After the next lost host the API comes back with new connections, and its old ones still hold slots: ghosts.
    ///
    /// ## What proves it
    /// `pg_settings.reset_val`. On a proxy the peer is the proxy: there its own keepalives (`option clitcpka`) find a client
    /// that is gone, and its idle timeout ends the session.
    ///
    /// ## What mends it
    /// Keepalives after 60 s, three of them 10 s apart; `tcp_user_timeout` of as long as that takes; a look at the client every
    /// 10 s. All by a reload, for new sessions. They keep flows alive in NAT and load balancers as well (350 s and less).
    ///
    /// ## References
    /// Postgres manual: "TCP Settings"; tcp(7).
    "dead-peers-unnoticed" in Network, proved by Proof::Drill;
}

/// Longer than this a dead client is not to be taken for alive, in ms.
const LONGEST_MS: f64 = 300_000.0;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let slow = |name: &str| view.number(name).is_some_and(|ms| ms <= 0.0 || ms > LONGEST_MS);
    let change =
        |name: &str, advised: &str| changes::for_server(&view, name, advised, Needs::Reload, Risk::Bounds);
    let mut all: Vec<Change> = Vec::new();
    if slow("tcp_keepalives_idle") {
        let keepalives =
            [("tcp_keepalives_idle", "60"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];
        all.extend(keepalives.into_iter().filter_map(|(name, advised)| change(name, advised)));
    }
    if slow("tcp_user_timeout") {
        all.extend(change("tcp_user_timeout", "90s"));
    }
    if slow("client_connection_check_interval") {
        all.extend(change("client_connection_check_interval", "10s"));
    }
    let first = all.first()?;
    let names: Vec<&str> = all.iter().map(|c| c.setting.as_str()).collect();
    let after = if names.contains(&"tcp_keepalives_idle") { "two hours" } else { "long" };
    let summary =
        format!("a client that vanishes keeps its slots and locks for {after}: {}", names.join(", "));
    let fact = view.fact("pg_settings", format!("{} = {}", first.setting, first.current));
    let proxied = e.host.get().is_some_and(|h| h.haproxy.is_some());
    let note = "behind HAProxy the peer is the proxy: give it option clitcpka and option srvtcpka";
    if let Some(first) = all.first_mut().filter(|_| proxied) {
        note.clone_into(&mut first.note);
    }
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(
                Nearness::Fault,
                "after a lost host its ghosts hold slots while the API opens new connections",
            )
            .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};

    #[test]
    fn dead_peers_unnoticed_by_the_systems_defaults() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(|told| {
            set(told, "tcp_keepalives_idle", "0");
            set(told, "client_connection_check_interval", "0");
        }))
        .unwrap();
        let names: Vec<_> = found.changes.iter().map(|c| c.setting.as_str()).collect();
        assert_eq!(
            names,
            [
                "tcp_keepalives_idle",
                "tcp_keepalives_interval",
                "tcp_keepalives_count",
                "client_connection_check_interval"
            ]
        );
        let older = audited(|told| {
            told.settings.remove("client_connection_check_interval");
        });
        assert!(find(&older).is_none(), "before 14 there is none");
    }
}
