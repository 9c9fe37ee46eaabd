//! `server-cannot-start`: every start of the server is given up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::HostEvidence;
use crate::rooms::server::gone::lets_in;
use crate::rooms::server::{log, startup_process};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The server does not come up: each start is given up for a reason that its log says last.
    ///
    /// ## What it is
    /// Something was changed while it ran, and only a start takes it up: a bad value, a library that is not there, a
    /// mode of the data directory or of a key file, a port that another program took, huge pages or memory that the
    /// host does not have. Or the start is for recovery, and what it needs is missing.
    ///
    /// ## What proves it
    /// Nothing listens, no postmaster runs, and the log's last FATAL is that of a start: `could not access file`,
    /// `configuration file … contains errors`, `data directory … has invalid permissions`, `could not create any
    /// TCP/IP sockets`, `lock file "postmaster.pid" already exists`.
    ///
    /// ## What mends it
    /// Take back the last change: the FATAL names it. `postgres -C max_connections -D DATA` reads the configuration
    /// without a start. Then start it once, by hand.
    ///
    /// ## What makes it worse
    /// A restart loop: it hides the first error. Removing `postmaster.pid` while any process uses the directory: two
    /// servers on one directory destroy it. `pg_resetwal`.
    ///
    /// ## What prevents it
    /// Before each restart: `pg_file_settings`, `pg_hba_file_rules`, `pg_settings.pending_restart`.
    ///
    /// ## References
    /// Postgres manual: "Starting the Database Server" (Server Start-up Failures), `pg_file_settings`.
    "server-cannot-start" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    if lets_in(e) {
        return None;
    }
    let host = e.host.get().filter(|h| nobody_runs(h))?;
    let (entry, proof) = log::start_given_up(e)?;
    let data = startup_process::data_directory(e);
    let summary = format!("the server does not come up: {}", entry.message);
    let gone = Fact::new(Source::Host, host.at, "/proc", format!("no postmaster runs in {data}"));
    let path = host.log.as_ref().map(|log| crate::paste::argument(&log.path)).unwrap_or_default();
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, proof)
            .and(gone)
            .mended_by(RemedyPlan::by_hand(
                "take-back-last-change",
                RemedyKind::Advice,
                "read what the last start said and take back what was changed; the configuration can be read without a start",
                format!("grep -E 'FATAL|PANIC' {path} | tail -5; ls -ld {data}; postgres -C data_directory -D {data}   # as postgres"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "start-database",
                RemedyKind::DbRestart,
                "start it once, when that is mended and there is space",
                format!("df -h {data} && pg_ctl -D {data} -w start   # as postgres; or systemctl start postgresql"),
            )),
    )
}

fn nobody_runs(host: &HostEvidence) -> bool {
    host.postmaster.as_ref().is_none_or(|p| p.state == 'Z')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, first_bytes, healthy, log_of, unconnected, window};
    use crate::platform::evidence::{ListenerView, ProcessView};
    use crate::rooms::network::evidence::ConnectOutcome;
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Role;

    fn dead(said: &[&str], postmaster: Option<ProcessView>) -> Evidence {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        window(&mut e, |host| {
            host.data_directory = Some("/data".into());
            host.postmaster = postmaster;
            let mut log = log_of("F0000", said[0]);
            log.entries.extend(said[1..].iter().flat_map(|text| log_of("00000", text).entries));
            host.log = Some(log);
        });
        e
    }

    #[test]
    fn server_cannot_start_says_what_the_last_start_said() {
        for said in [
            "could not access file \"nolib\": No such file or directory",
            "configuration file \"/data/postgresql.conf\" contains errors",
            "data directory \"/data\" has invalid permissions",
        ] {
            let found = find(&dead(&[said], None)).expect(said);
            assert_eq!(found.summary, format!("the server does not come up: {said}"));
            assert_eq!(found.remedies[1].kind, RemedyKind::DbRestart);
        }
        assert!(find(&dead(&["lock file \"postmaster.pid\" already exists"], None)).is_none(), "another's");
        assert!(find(&dead(&["password authentication failed for user \"app\""], None)).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn server_cannot_start_whatever_is_said_after_a_server_had_shut_down() {
        let stop = ["received fast shutdown request", "database system is shut down"];
        let mut e = dead(&[stop[0], "terminating connection due to administrator command", stop[1]], None);
        assert!(find(&e).is_none(), "it was only stopped");
        e = dead(&[stop[0], stop[1], "a reason that no table knows", stop[1]], None);
        if let crate::evidence::Seen::Seen(host) = &mut e.host {
            for entry in &mut host.log.as_mut().unwrap().entries {
                entry.severity = if stop.contains(&entry.message.as_str()) { "LOG" } else { "FATAL" }.into();
                entry.at = Some(crate::evidence::fixture::AT.plus(pgmedic_model::Ms(-7_200_000.0)));
            }
        }
        let found = crate::diagnose(&e);
        assert_eq!(found[0].summary, "the server does not come up: a reason that no table knows");
        assert!(found.iter().all(|f| f.cause != "stopped-by-administrator"), "{found:?}");
    }

    #[test]
    fn server_cannot_start_explains_a_stranger_on_its_port() {
        let mut e = first_bytes(FirstBytes::Silent);
        let taken = dead(&["could not create any TCP/IP sockets"], None);
        e.host = taken.host;
        if let crate::evidence::Seen::Seen(host) = &mut e.host {
            host.front_listener_sought = true;
            host.front_listener = Some(ListenerView { pid: Some(9), recv_q: 1, ..ListenerView::default() });
            host.proxy =
                Some(ProcessView { pid: 9, program: "python3".into(), state: 'S', ..ProcessView::default() });
        }
        let found = crate::diagnose(&e);
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.as_str()).collect();
        assert!(found.len() > 1 && roots == [CAUSE.id], "{found:?}");
    }

    #[test]
    fn server_cannot_start_is_over_once_it_runs_or_was_ready() {
        let said = "could not access file \"nolib\": No such file or directory";
        assert!(find(&dead(&[said, "database system is ready to accept connections"], None)).is_none());
        let runs = ProcessView { pid: 9, state: 'S', ..ProcessView::default() };
        assert!(find(&dead(&[said], Some(runs))).is_none());
    }
}
