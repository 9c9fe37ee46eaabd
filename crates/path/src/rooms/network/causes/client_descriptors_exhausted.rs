//! `client-descriptors-exhausted`: the client has no file descriptor left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{decisive, fact, is, with_context};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The client is out of file descriptors and cannot open another connection.
    ///
    /// ## What it is
    /// A socket is a file descriptor. EMFILE: this process has as many as its limit allows. ENFILE: the whole
    /// host has. The attempt fails before a packet leaves, and the database is well. pgmedic saw this with
    /// the limit that it was started with; it speaks of the API where that has the same limit.
    ///
    /// ## What proves it
    /// `ls /proc/PID/fd | wc -l` against `Max open files` in `/proc/PID/limits`; for the host
    /// `/proc/sys/fs/file-nr`.
    ///
    /// ## What mends it
    /// 1. Raise the limit of the API's service (`LimitNOFILE=` in its unit, `prlimit --pid PID
    ///    --nofile=65536`).
    /// 2. Restart the instance whose descriptors leak, and see what they are: `ls -l /proc/PID/fd`.
    ///
    /// ## What makes it worse
    /// Touching the database at all.
    ///
    /// ## What prevents it
    /// A pool with a maximum, `LimitNOFILE` fit for pool and listeners, an alert on open descriptors.
    ///
    /// ## References
    /// socket(2), EMFILE and ENFILE; getrlimit(2), RLIMIT_NOFILE; proc(5); systemd.exec(5).
    "client-descriptors-exhausted" in Network,
    proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let starved =
        |a: &Attempt| a.outcome == ConnectOutcome::CannotTry && (is(a, "EMFILE") || is(a, "ENFILE"));
    let way = struck(e, Around::Aside, |r| decisive(r).is_some_and(starved))?;
    let attempt = decisive(way.route)?;
    let who = if is(attempt, "ENFILE") { "this host is" } else { "this process is" };
    let summary = format!(
        "{who} out of file descriptors: no socket could be opened for {}{}",
        attempt.address,
        way.on_the_way()
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(attempt));
    Some(with_context(finding, e, &way, attempt).mended_by(RemedyPlan::by_hand(
        "raise-descriptor-limit",
        RemedyKind::Advice,
        "see what holds the descriptors, raise the limit of the API's service, restart the instance that leaks them",
        "ulimit -n; cat /proc/sys/fs/file-nr",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, unconnected};

    #[test]
    fn client_descriptors_exhausted_tells_the_process_from_the_host() {
        for (errno, who) in [(24, "this process is"), (23, "this host is")] {
            let found =
                find(&unconnected(&[(ADDRESS, ConnectOutcome::CannotTry, Some(errno))])).expect("found");
            assert_eq!(found.confidence, Confidence::Certain);
            assert!(found.summary.starts_with(who), "{}", found.summary);
        }
        assert!(find(&unconnected(&[(ADDRESS, ConnectOutcome::CannotTry, Some(99))])).is_none());
        assert!(find(&healthy()).is_none());
    }
}
