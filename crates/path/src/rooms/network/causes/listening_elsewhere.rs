//! `listening-elsewhere`: the server listens, at another address than the one that is walked to.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::literal;
use crate::platform::evidence::ListenerView;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{decisive, elsewhere, ended, fact, how, with_context};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Source};

cause! {
    /// The server listens on this port, but at another address than the one its clients use.
    ///
    /// ## What it is
    /// `listen_addresses` (a proxy's `bind`) names only some of the host's addresses, mostly loopback: whoever is on the
    /// host connects, everybody else is refused at once. It is Postgres' default, and comes back with a configuration
    /// that was rebuilt, a new network address, or an IPv6 address that nobody thought of.
    ///
    /// ## What proves it
    /// Connections to the address are refused, and on the same host `ss -ltn` shows a listener on the same port at
    /// `127.0.0.1`, `[::1]` or another of its addresses only. `SHOW listen_addresses` says which were asked for.
    ///
    /// ## What mends it
    /// 1. Set `listen_addresses` to the address (or `'*'` behind a firewall), by `ALTER SYSTEM` or in `postgresql.conf`.
    /// 2. Restart the server: the setting is only read at the start. Look at its volumes' free space first.
    /// 3. `pg_hba.conf` needs a line for the clients' network too.
    ///
    /// ## What makes it worse
    /// Restarting without the change. Opening the firewall: nothing is filtered. `'*'` on a host with a public address and
    /// a wide `pg_hba.conf`.
    ///
    /// ## What prevents it
    /// A connection test from another host after each start; the setting under version control.
    ///
    /// ## References
    /// Postgres manual, "Connections and Authentication" (`listen_addresses`); HAProxy configuration manual, `bind`;
    /// PgBouncer, `listen_addr`; ss(8).
    "listening-elsewhere" in Network, proved by Proof::Drill;
}

/// Programs that are a service's server or the hop in front of it.
const OURS: [&str; 3] = ["postgres", "haproxy", "pgbouncer"];

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| ended(r, &[ConnectOutcome::Refused]))?;
    let (attempt, found) = (decisive(way.route)?, elsewhere(e, way.name));
    let ours = |view: &&ListenerView| view.program.as_deref().is_some_and(|p| OURS.contains(&p));
    let view = found.iter().find(ours).or(found.first())?;
    let host = e.host.get()?;
    let confidence = if ours(&view) { Confidence::Certain } else { Confidence::Likely };
    let who = match (&view.program, view.pid) {
        (Some(program), Some(pid)) => format!("{program} (pid {pid})"),
        _ => "a process".to_owned(),
    };
    let summary = format!(
        "{who} listens on {} and not on {}: {}{}",
        view.address,
        attempt.address,
        how(attempt),
        way.on_the_way()
    );
    let listeners = found.iter().map(|view| {
        Fact::new(Source::Host, host.at, &view.address, format!("a listener at {}", view.address))
    });
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt))
        .and_all(listeners);
    let mut finding = with_context(finding, e, &way, attempt);
    if confidence != Confidence::Certain {
        finding = finding.or_else("port-closed", "`ss -ltnp` as root: whose listener it is");
    }
    Some(finding.mended_by(listen(attempt, view)))
}

/// Advice to have the server listen there.
fn listen(attempt: &Attempt, view: &ListenerView) -> RemedyPlan {
    let (wanted, port) = host_and_port(&attempt.address);
    let (now, _) = host_and_port(&view.address);
    let addresses = literal(&format!("{now}, {wanted}"));
    RemedyPlan::by_hand(
        "listen-there-too",
        RemedyKind::DbRestart,
        format!("let the server listen on {wanted} as well; the setting is read at its start alone"),
        format!(
            "ss -ltnp 'sport = :{port}'; psql -h {now} -p {port} -c {}   # then restart it, once its disk has room",
            crate::paste::argument(&format!("ALTER SYSTEM SET listen_addresses = {addresses}"))
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected, window};
    use pgmedic_model::Severity;

    fn refused(program: Option<&str>) -> Evidence {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        window(&mut e, |host| {
            host.front_listener_sought = true;
            host.front_elsewhere = vec![ListenerView {
                address: "127.0.0.1:5432".into(),
                pid: program.map(|_| 9),
                program: program.map(str::to_owned),
                ..ListenerView::default()
            }];
        });
        e
    }

    #[test]
    fn listening_elsewhere_is_certain_where_the_server_listens_at_another_address() {
        let found = crate::diagnose(&refused(Some("postgres")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Certain));
        assert_eq!(found[0].severity, Severity::Critical);
        assert!(
            found[0]
                .summary
                .starts_with("postgres (pid 9) listens on 127.0.0.1:5432 and not on 10.0.0.7:5432")
        );
        assert!(found[0].remedies[0].command.contains("127.0.0.1, 10.0.0.7"));
    }

    #[test]
    fn listening_elsewhere_is_likely_where_the_listener_is_not_known() {
        let found = find(&refused(None)).expect("found");
        assert_eq!(
            (found.confidence, found.alternatives[0].cause.as_str()),
            (Confidence::Likely, "port-closed")
        );
        assert!(find(&unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))])).is_none());
        assert!(find(&healthy()).is_none());
    }
}
