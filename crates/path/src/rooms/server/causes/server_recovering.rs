//! `server-recovering`: the server recovers from a crash.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::log;
use crate::rooms::server::startup_process::{at_work_on, follows_an_archive, progress, wait};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, Room, Severity};

cause! {
    /// The server recovers from a crash of one of its processes and lets nobody in until it is done.
    ///
    /// ## What it is
    /// A backend died in a way that may have left shared memory damaged (a signal 9 or 11, an out-of-memory kill), so
    /// the postmaster ended every session and replays WAL. Everyone reconnects at once afterwards.
    ///
    /// ## What proves it
    /// `FATAL 57P03 the database system is in recovery mode`. The log names the process and the signal:
    /// `server process (PID n) was terminated by signal 9: Killed`.
    ///
    /// ## What mends it
    /// Wait: it comes back by itself, within seconds for most servers. Then find what killed the backend: `dmesg` for
    /// the OOM killer, the query in the log's DETAIL, an extension.
    ///
    /// ## What makes it worse
    /// Restarting adds a second recovery to the first. `kill -9` of another backend starts it all over. On a full disk
    /// recovery fails and the server stays down.
    ///
    /// ## What prevents it
    /// Memory headroom (`work_mem` times sessions), `vm.overcommit_memory = 2`; never `kill -9` a backend.
    ///
    /// ## References
    /// Postgres manual: "Managing Kernel Resources" (Linux memory overcommit), "Shutting Down the Server".
    "server-recovering" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    // Since 15 it says "not yet", and with hot_standby off "not": the words of a standby.
    let not_yet = || {
        let archive = follows_an_archive(e);
        let not = said::error(e, Words::NotAcceptingConnections).filter(|_| archive == Some(false));
        said::error(e, Words::NotYetAccepting).filter(|_| archive != Some(true)).or(not)
    };
    let in_recovery = said::error(e, Words::InRecovery);
    let sure = in_recovery.is_some() || follows_an_archive(e) == Some(false);
    let refused = in_recovery.or_else(not_yet)?;
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let killed = log::recent(e, Words::TerminatedBySignal).map(|(_, fact)| fact);
    let summary =
        format!("the server recovers from a crash and lets nobody in until it is done{}", at_work_on(e));
    let mut finding =
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, refused.fact());
    if !sure {
        finding = finding.or_else(
            "standby-not-ready",
            "`ls $PGDATA/*.signal` on the server's host: standby.signal or recovery.signal stands in a standby's",
        );
    }
    Some(
        finding
            .and_all(killed)
            .and_all(progress(e))
            .mended_by(wait(e, "wait: recovery ends by itself; a restart only adds a second one")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, log_of, refused, window};

    #[test]
    fn server_recovering_is_what_a_primary_does_that_is_not_yet_consistent() {
        let mut e = refused("57P03", "the database system is not yet accepting connections");
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[0].cause, "standby-not-ready");
        window(&mut e, |host| host.recovery_signal = Some(false));
        assert_eq!(find(&e).unwrap().confidence, Confidence::Certain);
        window(&mut e, |host| host.recovery_signal = Some(true));
        assert!(find(&e).is_none());
    }

    #[test]
    fn server_recovering_cites_what_killed_the_backend() {
        let mut e = refused("57P03", "the database system is in recovery mode");
        assert_eq!(find(&e).unwrap().evidence.len(), 1);
        window(&mut e, |host| {
            host.log = Some(log_of("00000", "server process (PID 4711) was terminated by signal 9: Killed"));
        });
        let found = find(&e).unwrap();
        assert!(found.evidence[1].fact.contains("signal 9"));
        assert!(find(&healthy()).is_none());
        assert!(find(&refused("57P03", "the database system is starting up")).is_none());
    }
}
