//! `fork-failed`: the server's host has no process left for a session.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::log;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server cannot start a process for a new session: fork fails on its host.
    ///
    /// ## What it is
    /// Each session is a process. A limit on processes (`pids.max` of the container, `nproc` of the user, `TasksMax` of
    /// the unit) or on memory is reached. Sessions that are in go on; each new one is refused before it logs in.
    ///
    /// ## What proves it
    /// An error in the old protocol 2, without SQLSTATE, then a reset: `could not fork new process for connection:
    /// Resource temporarily unavailable`. Clients with TLS print only "server sent an error response during SSL exchange".
    /// The server's log has the same words.
    ///
    /// ## What mends it
    /// See which limit it is. Close sessions (stop one API instance), end what else runs on the host, then raise
    /// the limit: `systemctl set-property`, the container's `--pids-limit`; no restart of Postgres is needed for those.
    ///
    /// ## What makes it worse
    /// A restart: clients come back together and the limit is the same. Raising `max_connections`.
    ///
    /// ## What prevents it
    /// A process limit above `max_connections` plus workers; PgBouncer; memory headroom.
    ///
    /// ## References
    /// fork(2), EAGAIN and ENOMEM; cgroups(7) `pids.max`; Postgres source, `postmaster.c`, `report_fork_failure_to_client`.
    "fork-failed" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (text, proof) = refused(e)?;
    let reason =
        text.trim_end().rsplit_once(": ").map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
    let summary = format!("the server cannot start a process for a new session: fork failed{reason}");
    let logged = log::recent(e, Words::CouldNotFork).map(|(_, fact)| fact);
    let pid = e.host.get().and_then(|h| h.postmaster.as_ref()).map(|p| p.pid);
    let pid = pid.map_or_else(|| "$(pgrep -o -x postgres)".to_owned(), |pid| pid.to_string());
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, proof)
            .and_all(logged)
            .mended_by(RemedyPlan::by_hand(
                "raise-process-limit",
                RemedyKind::Advice,
                "see which limit is reached (the user's, the unit's or the container's, or memory); close sessions, then raise it",
                format!("grep -i processes /proc/{pid}/limits; systemctl show -p TasksCurrent,TasksMax 'postgresql*'; free -m"),
            )),
    )
}

fn refused(e: &Evidence) -> Option<(String, Fact)> {
    if let Some((text, fact)) = said::protocol_2(e).filter(|(text, _)| says(text, Words::CouldNotFork)) {
        return Some((text.to_owned(), fact));
    }
    said::error(e, Words::CouldNotFork).as_ref().map(|s: &Said<'_>| (s.error.message.clone(), s.fact()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy};
    use crate::rooms::proxy::evidence::FirstBytes;

    #[test]
    fn fork_failed_is_read_from_a_protocol_2_error() {
        let text = "could not fork new process for connection: Resource temporarily unavailable\n";
        let found = find(&first_bytes(FirstBytes::ErrorV2(text.into()))).unwrap();
        assert!(found.summary.ends_with("fork failed (Resource temporarily unavailable)"));
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(find(&first_bytes(FirstBytes::ErrorV2("unsupported frontend protocol".into()))).is_none());
        assert!(find(&healthy()).is_none());
    }
}
