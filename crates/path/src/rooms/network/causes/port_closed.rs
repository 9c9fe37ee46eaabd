//! `port-closed`: nothing listens where the database should be.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{
    self, Listener, decisive, ended, fact, how, is_socket, listener, with_context,
};
use crate::rooms::server::log;
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Source};

cause! {
    /// Nothing listens on the database's port: connections are refused at once.
    ///
    /// ## What it is
    /// The host is up and its kernel answers for the port: ECONNREFUSED within a round trip. The server (or
    /// the proxy in front of it) is stopped, crashed, still starting, or listens on another port or address.
    /// A missing unix socket is the same fault.
    ///
    /// ## What proves it
    /// On the server's host `ss -ltnp` shows no listener on the port. From outside a firewall that answers
    /// with a reset looks the same; only the host tells. A WAL volume that fills takes a server down within
    /// 41 ms, and clients see only this.
    ///
    /// ## What mends it
    /// 1. Find why before starting anything: the last lines of the server's log, then `df -h` and `df -i` of
    ///    data and WAL.
    /// 2. If the postmaster runs: compare `listen_addresses` and `port` with the address that is walked to.
    /// 3. Start the server: `pg_ctl start`, `systemctl start postgresql`, or the platform's machine.
    ///
    /// ## What makes it worse
    /// A blind restart loop: on a full disk each start fails again, and the first error scrolls out of the
    /// log. Deleting `postmaster.pid` while an old server still runs corrupts data.
    ///
    /// ## What prevents it
    /// A supervisor that restarts the server, and that checks free space first; a boot test from another
    /// host.
    ///
    /// ## References
    /// connect(2), ECONNREFUSED; unix(7); ss(8). Postgres manual, "Connections and Authentication"
    /// (`listen_addresses`, `port`) and "Starting the Database Server".
    "port-closed" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let closed = [ConnectOutcome::Refused, ConnectOutcome::NoSuchSocket];
    let way = struck(e, Around::Behind, |r| ended(r, &closed))?;
    let attempt = decisive(way.route)?;
    let confidence = match listener(e, way.name) {
        Listener::There(_) => return None,
        _ if !reading::elsewhere(e, way.name).is_empty() => return None,
        _ if is_socket(attempt) => Confidence::Certain,
        Listener::Missing => Confidence::Certain,
        Listener::NotSeen => Confidence::Likely,
    };
    let summary = format!("nothing listens on {}: {}{}", attempt.address, how(attempt), way.on_the_way());
    let summary = summary + &way.and_the_others();
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(attempt));
    let mut finding = with_context(finding, e, &way, attempt).and_all(server_facts(e));
    if confidence == Confidence::Likely {
        let decider =
            "`ss -ltnp` on the server's host: a listener there means that a firewall refuses in its place";
        finding = finding.or_else("firewall-rejects", decider);
    }
    Some(finding.mended_by(look(attempt)).mended_by(RemedyPlan::by_hand(
        "start-listener",
        RemedyKind::Advice,
        "when the reason is known and there is space on its volumes, start the server (or the proxy in front of it)",
        "df -h; df -i; systemctl start postgresql   # on the server's host",
    )))
}

/// What the window shows of the server itself.
fn server_facts(e: &Evidence) -> Vec<Fact> {
    let Some(host) = e.host.get() else { return Vec::new() };
    let mut facts = Vec::new();
    if let Some(postmaster) = &host.postmaster {
        let said =
            format!("a postmaster runs ({}); compare its port and listen_addresses", postmaster.command);
        facts.push(Fact::new(Source::Host, host.at, format!("pid {}", postmaster.pid), said));
    }
    let last = log::last_word(e).map(|last| {
        let said = format!("the last word in the server's log: {}", last.fact);
        Fact { fact: said, ..last }
    });
    facts.extend(last);
    facts
}

/// Advice to look at the listener first.
fn look(attempt: &Attempt) -> RemedyPlan {
    let (host, port) = host_and_port(&attempt.address);
    let command = if is_socket(attempt) {
        format!("ls -la {}; ss -lxp | grep PGSQL", argument(host))
    } else {
        format!("ss -ltnp 'sport = :{port}'; journalctl -u postgresql -n 50 --no-pager   # on {host}")
    };
    let plan = "see on the server's host whether anything listens, and how its log ends";
    RemedyPlan::by_hand("find-listener", RemedyKind::Advice, plan, command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{ADDRESS, first_bytes, healthy, log_of, unconnected, window};
    use crate::platform::evidence::ListenerView;
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Severity;

    const REFUSED: (&str, ConnectOutcome, Option<i32>) = (ADDRESS, ConnectOutcome::Refused, Some(111));

    #[test]
    fn port_closed_is_likely_without_a_window() {
        let found = find(&unconnected(&[REFUSED])).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert_eq!(found.summary, "nothing listens on 10.0.0.7:5432: ECONNREFUSED 111 after 0.2 ms");
        assert_eq!(found.alternatives[0].cause, "firewall-rejects");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn port_closed_is_certain_where_the_window_shows_no_listener() {
        let mut e = unconnected(&[REFUSED]);
        window(&mut e, |host| {
            host.front_listener_sought = true;
            host.log = Some(log_of(
                "53100",
                "could not write to file \"pg_wal/xlogtemp.9\": No space left on device",
            ));
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.alternatives.is_empty());
        assert!(found.evidence.iter().any(|f| f.fact.contains("pg_wal/xlogtemp.9")));
        window(&mut e, |host| host.front_listener = Some(ListenerView::default()));
        assert!(find(&e).is_none(), "a listener is there: a firewall refuses");
    }

    #[test]
    fn port_closed_is_certain_for_a_unix_socket_that_is_not_there() {
        let path = "/var/run/postgresql/.s.PGSQL.5432";
        let found = find(&unconnected(&[(path, ConnectOutcome::NoSuchSocket, Some(2))])).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.remedies[0].command.starts_with("ls -la /var/run/postgresql;"));
    }

    #[test]
    fn port_closed_around_a_proxy_that_hangs_up_is_critical_and_otherwise_a_warning() {
        for (mut e, severity) in
            [(first_bytes(FirstBytes::Closed), Severity::Critical), (healthy(), Severity::Warning)]
        {
            e.direct =
                Seen::Seen(unconnected(&[("10.0.0.7:5433", ConnectOutcome::Refused, Some(111))]).front);
            let found = find(&e).expect("found");
            assert_eq!(found.severity, severity);
            assert!(found.summary.ends_with(", on the way around the proxy"));
        }
    }
}
