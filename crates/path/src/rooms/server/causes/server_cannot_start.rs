//! `server-cannot-start`: every start of the server is given up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::HostEvidence;
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
    if e.routes().any(|(_, route)| route.admitted()) {
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
                "start-server",
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
    use crate::evidence::fixture::{ADDRESS, healthy, log_of, unconnected, window};
    use crate::platform::evidence::ProcessView;
    use crate::rooms::network::evidence::ConnectOutcome;

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
        assert!(find(&dead(&["password authentication failed for user \"app\""], None)).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn server_cannot_start_is_over_once_it_runs_or_was_ready() {
        let said = "could not access file \"nolib\": No such file or directory";
        assert!(find(&dead(&[said, "database system is ready to accept connections"], None)).is_none());
        let runs = ProcessView { pid: 9, state: 'S', ..ProcessView::default() };
        assert!(find(&dead(&[said], Some(runs))).is_none());
    }
}
