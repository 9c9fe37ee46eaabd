//! `server-recovering`: the server recovers from a crash.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::log;
use crate::rooms::server::startup_process::{at_work_on, progress, wait};
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
    let refused = said::error(e, Words::InRecovery)?;
    let killed = log::recent(e, Words::TerminatedBySignal).map(|(_, fact)| fact);
    let summary =
        format!("the server recovers from a crash and lets nobody in until it is done{}", at_work_on(e));
    Some(
        Finding::new(
            CAUSE.id,
            Room::Server,
            Severity::Critical,
            Confidence::Certain,
            summary,
            refused.fact(),
        )
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
