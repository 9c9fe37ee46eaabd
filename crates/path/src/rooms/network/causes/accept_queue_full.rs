//! `accept-queue-full`: more connections wait at the door than the kernel keeps.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::ListenerView;
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::network::reading::{decisive, ended, fact};
use crate::ways::{Around, Struck, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Severity, Source};

cause! {
    /// So many connections wait unaccepted that the kernel takes no more: newcomers get no answer.
    ///
    /// ## What it is
    /// The kernel completes connections and keeps them until the process accepts them, up to the listener's backlog. From
    /// then on it drops SYNs without a word, which looks like a firewall, and connects clients whose data it never
    /// acknowledges. Either the process does not accept (it is stopped, stuck, starved, or at its own limit: then that
    /// stands beside this), or more clients come at once than it can take.
    ///
    /// ## What proves it
    /// `ss -ltn` on the server's host: Recv-Q of the listener above its Send-Q, which is the backlog. `nstat -az
    /// TcpExtListenOverflows TcpExtListenDrops` grows with each attempt. A unix socket says EAGAIN.
    ///
    /// ## What mends it
    /// 1. See why the process does not accept: `ps -o pid,stat,wchan:32,cmd -p PID`; mend that.
    /// 2. If it works and is flooded: stop the flood (a retry loop without a pause, a pool per request), instances in turn.
    /// 3. Backlog: Postgres asks for twice `max_connections`, PgBouncer for `listen_backlog`, HAProxy for `backlog` or
    ///    `maxconn`; the kernel cuts each to `net.core.somaxconn`.
    ///
    /// ## What makes it worse
    /// A longer backlog alone: clients wait longer for the same nothing. Retrying faster: each retry takes a place in the
    /// queue that nobody will use. Opening the firewall: it drops nothing.
    ///
    /// ## What prevents it
    /// Pools; backoff with jitter; an alert on `TcpExtListenOverflows` and on Recv-Q of the listener.
    ///
    /// ## References
    /// listen(2), on the backlog; tcp(7), `tcp_abort_on_overflow`; ss(8); Postgres' `pqcomm.c` (`max_connections` twice).
    "accept-queue-full" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    seen_full(e).or_else(|| socket_says_so(e))
}

/// The window shows a queue that is full.
fn seen_full(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let full = |view: &Option<ListenerView>| view.as_ref().is_some_and(ListenerView::is_full);
    let (view, severity) = if full(&host.front_listener) {
        let severity = if e.front.admitted() { Severity::Warning } else { Severity::Critical };
        (host.front_listener.as_ref()?, severity)
    } else if full(&host.direct_listener) {
        let way = struck(e, Around::Behind, |r| {
            !r.admitted() && e.direct.get().is_some_and(|d| d.address == r.address)
        });
        (host.direct_listener.as_ref()?, way.map_or(Severity::Warning, |w| w.severity))
    } else {
        return None;
    };
    let who = match (&view.program, view.pid) {
        (Some(program), Some(pid)) => format!("{program} (pid {pid})"),
        _ => "its process".to_owned(),
    };
    let backlog = view.backlog.unwrap_or_default();
    let summary = format!(
        "the queue of {} is full: {} connections wait for {who} to accept them, and the kernel takes no more",
        view.address, view.recv_q
    );
    let said = format!("{} connections wait unaccepted; the backlog is {backlog}", view.recv_q);
    let proof = Fact::new(Source::Host, host.at, &view.address, said).value(view.recv_q);
    let overflows = host.accept_overflows.map(|n| {
        let said = format!("{n} connections were turned away for full queues since boot, on the whole host");
        Fact::new(Source::Host, host.at, "ListenOverflows of /proc/net/netstat", said).value(n)
    });
    let finding = Finding::new(CAUSE.id, CAUSE.room, severity, Confidence::Certain, summary, proof);
    let attempts = e.routes().filter_map(|(_, r)| decisive(r)).map(fact);
    Some(finding.and_all(overflows).and_all(attempts).mended_by(look(&view.address, view.pid)))
}

/// A unix socket's connect(2) said EAGAIN.
fn socket_says_so(e: &Evidence) -> Option<Finding> {
    let way: Struck<'_> = struck(e, Around::Behind, |r| ended(r, &[ConnectOutcome::QueueFull]))?;
    let attempt = decisive(way.route)?;
    let summary = format!(
        "the queue of {} is full: connections wait there unaccepted{}",
        attempt.address,
        way.on_the_way()
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(attempt));
    Some(finding.mended_by(look(&attempt.address, None)))
}

/// Advice to see who does not accept.
fn look(address: &str, pid: Option<u32>) -> RemedyPlan {
    let (_, port) = host_and_port(address);
    let process = pid.map_or_else(String::new, |pid| format!("; ps -o pid,stat,wchan:32,cmd -p {pid}"));
    RemedyPlan::by_hand(
        "find-who-does-not-accept",
        RemedyKind::Advice,
        "see whether the process that should accept is stopped, stuck, at its limit, or flooded",
        format!("ss -ltnp 'sport = :{port}'; nstat -az TcpExtListenOverflows{process}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected, window};
    use crate::platform::evidence::ProcessView;
    use pgmedic_model::Role;

    fn full(program: &str, state: char) -> Evidence {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Silent, None)]);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView {
                address: ADDRESS.into(),
                recv_q: 201,
                backlog: Some(200),
                pid: Some(9),
                program: Some(program.into()),
            });
            host.accept_overflows = Some(77);
            host.postmaster = Some(ProcessView { pid: 9, state, ..ProcessView::default() });
        });
        e
    }

    #[test]
    fn accept_queue_full_is_the_root_where_the_process_runs() {
        let found = crate::diagnose(&full("postgres", 'R'));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Certain));
        assert_eq!(
            found[0].summary,
            "the queue of 10.0.0.7:5432 is full: 201 connections wait for postgres (pid 9) to accept them, and the \
             kernel takes no more"
        );
    }

    #[test]
    fn accept_queue_full_is_a_symptom_of_a_server_that_is_stopped() {
        let found = crate::diagnose(&full("postgres", 'T'));
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.as_str()).collect();
        assert_eq!(roots, ["server-hung"]);
        assert!(found.iter().any(|f| f.cause == CAUSE.id && f.role == Role::Symptom));
    }

    #[test]
    fn accept_queue_full_is_what_a_unix_socket_says_with_eagain() {
        let path = "/var/run/postgresql/.s.PGSQL.5432";
        let found = find(&unconnected(&[(path, ConnectOutcome::QueueFull, Some(11))])).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        let mut short = full("postgres", 'S');
        window(&mut short, |host| {
            host.front_listener =
                Some(ListenerView { recv_q: 200, backlog: Some(200), ..ListenerView::default() });
        });
        assert!(find(&short).is_none(), "one more is taken");
        assert!(find(&healthy()).is_none());
    }
}
