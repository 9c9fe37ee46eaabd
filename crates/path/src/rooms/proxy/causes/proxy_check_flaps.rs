//! `proxy-check-flaps`: the proxy's health check takes its server out and in again, over and over.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::HaproxyRow;
use crate::rooms::app::readiness;
use crate::rooms::proxy::log::{endings, event};
use pgmedic_model::haproxy_words::{Ended, HaproxyWords};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The proxy's health check marks the server down and up again, over and over, and sessions are cut.
    ///
    /// ## What it is
    /// The check fails now and then, the proxy takes its server out, and with `on-marked-down shutdown-sessions` it cuts
    /// every session; a moment later the check passes and all clients reconnect at once. The check itself may be at fault
    /// (too short a timeout, a check script that hangs), or it needs what clients have used up: with every slot taken the
    /// check cannot log in, the cut frees the slots, and it begins anew. Then `slots-exhausted` stands beside this and is
    /// the cause.
    ///
    /// ## What proves it
    /// HAProxy's `show stat`: `chkdown` of the server counts several times since HAProxy was started, the last change
    /// (`lastchg`) was less than a minute ago. Its log says `is DOWN` and `is UP` in turn and ends sessions with the flag
    /// `D`. The words of the last check: `last_chk`, `L7STS`, `L7TOUT`, `L4CON`.
    ///
    /// ## What mends it
    /// 1. Admission first, if slots are full.
    /// 2. Ask the check by hand, several times, and see how long it takes: `curl -sS -m 2 -i http://HOST:5500/flycheck/role`.
    /// 3. More patience: `inter 2s fall 3 rise 2`, a `timeout check` above what the check takes.
    ///
    /// ## What makes it worse
    /// Restarting the proxy: it cuts everybody at once, and flaps again. Restarting the database.
    ///
    /// ## What prevents it
    /// A check with a slot of its own (`reserved_connections`, a role that is not the clients'); API roles that are not
    /// superuser; `fall 3`; no `on-marked-down shutdown-sessions` unless a failover needs it.
    ///
    /// ## References
    /// HAProxy configuration manual, `check`, `fall`, `on-marked-down`, `option httpchk`; management guide, 9.1 (`chkdown`,
    /// `lastchg`). Postgres-flex's HAProxy checks `/flycheck/role` in this way.
    "proxy-check-flaps" in Proxy, proved by Proof::Drill;
}

/// From so many times down on it is no single failure.
const DOWNS: u64 = 2;

/// A server that last changed longer ago than this has settled.
const SETTLED_S: u64 = 60;

/// A server that goes down less often than once in this time, in s, has single failures.
const SELDOM_S: u64 = 600;

fn find(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let view = host.haproxy.as_ref()?;
    let flaps = |row: &&HaproxyRow| {
        let downs = row.downs.unwrap_or(0);
        let often = view.uptime_s.is_none_or(|up| up / downs.max(1) <= SELDOM_S);
        row.is_server() && downs >= DOWNS && often && row.since_change_s.is_some_and(|s| s <= SETTLED_S)
    };
    let row = view.rows.iter().filter(flaps).max_by_key(|row| row.downs)?;
    let (downs, since) = (row.downs?, row.since_change_s?);
    let check = if row.check.is_empty() { String::new() } else { format!(" (last check {})", row.check) };
    let up = view.uptime_s.map_or_else(String::new, |s| format!(" in {s} s"));
    let summary = format!(
        "the proxy's check has marked {}/{} down {downs} times{up}, the last change {since} s ago{check}",
        row.proxy, row.server
    );
    let said = format!(
        "server {}/{} is {}: chkdown {downs}, lastchg {since} s{check}",
        row.proxy, row.server, row.status
    );
    let proof = Fact::new(Source::Host, host.at, &view.socket, said).value(downs);
    let cut: Vec<Fact> = endings(e, &[Ended::ServerMarkedDown]).into_iter().map(|(_, f)| f).take(2).collect();
    let lines = [HaproxyWords::ServerDown, HaproxyWords::ServerUp];
    let lines = lines.into_iter().filter_map(|words| event(e, words)).map(|(_, fact)| fact);
    let fails = !e.front.admitted() || readiness::failing(e);
    let severity = if fails { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new(CAUSE.id, Room::Proxy, severity, Confidence::Certain, summary, proof)
        .and_all(cut)
        .and_all(lines)
        .and_all(readiness::lost_connections(e));
    let socket = &view.socket;
    Some(finding.mended_by(RemedyPlan::by_hand(
        "steady-the-check",
        RemedyKind::Advice,
        "see why the check fails (slots first), ask it by hand, then give it more patience (fall, rise, timeout check)",
        format!(
            "for i in 1 2 3 4 5; do echo 'show stat' | socat stdio UNIX-CONNECT:{socket} | cut -d, -f1,2,18,22,23,24,37; \
             sleep 1; done"
        ),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, refused, window};
    use crate::platform::evidence::HaproxyView;
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Role;

    fn flapping(mut e: Evidence, downs: u64, since: u64, uptime: u64) -> Evidence {
        window(&mut e, |host| {
            let row = HaproxyRow {
                proxy: "pg".into(),
                server: "s1".into(),
                status: "DOWN".into(),
                check: "L7STS".into(),
                downs: Some(downs),
                since_change_s: Some(since),
                ..HaproxyRow::default()
            };
            host.haproxy =
                Some(HaproxyView { rows: vec![row], uptime_s: Some(uptime), ..HaproxyView::default() });
        });
        e
    }

    #[test]
    fn proxy_check_flaps_explain_a_proxy_without_backend() {
        let found = crate::diagnose(&flapping(first_bytes(FirstBytes::Closed), 7, 3, 120));
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).collect();
        assert_eq!(roots.len(), 1, "{found:?}");
        assert_eq!((roots[0].cause.as_str(), roots[0].severity), (CAUSE.id, Severity::Critical));
        assert_eq!(
            roots[0].summary,
            "the proxy's check has marked pg/s1 down 7 times in 120 s, the last change 3 s ago (last check L7STS)"
        );
    }

    #[test]
    fn proxy_check_flaps_are_brought_about_by_full_slots_and_not_the_other_way_round() {
        let full = refused(
            "53300",
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        );
        let found = crate::diagnose(&flapping(full, 7, 3, 120));
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.as_str()).collect();
        assert_eq!(roots, ["slots-exhausted"], "{found:?}");
    }

    #[test]
    fn proxy_check_flaps_are_neither_one_failure_nor_old_ones_nor_rare_ones() {
        for (downs, since, uptime) in [(1, 3, 120), (7, 300, 3_000), (7, 3, 864_000)] {
            assert!(find(&flapping(healthy(), downs, since, uptime)).is_none(), "{downs} {since} {uptime}");
        }
        assert!(find(&healthy()).is_none());
    }
}
