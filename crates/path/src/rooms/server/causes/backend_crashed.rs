//! `backend-crashed`: a process of the server was killed or crashed, and every session with it.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::app::readiness;
use crate::rooms::server::log;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Action, Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity, SqlState};

cause! {
    /// A process of the server crashed or was killed: the server ended every session and recovers.
    ///
    /// ## What it is
    /// One backend died of a signal (9: usually the OOM killer; 11: a bug, often an extension; 6: an assertion). Shared
    /// memory may be damaged, so the postmaster ends all others and goes through crash recovery. Clients see their
    /// connections closed; drivers drop the notice that says why.
    ///
    /// ## What proves it
    /// A notice `WARNING 57P02 terminating connection because of crash of another server process`, then EOF; the log:
    /// `server process (PID n) was terminated by signal 9: Killed`, and its DETAIL with the query that ran.
    ///
    /// ## What mends it
    /// The server comes back by itself; wait. Then find the killer: `dmesg -T | grep -i -e oom -e segfault`, the cgroup's
    /// `memory.events`, the query in the log. The API should retry its connections.
    ///
    /// ## What makes it worse
    /// Restarting: a second recovery. Raising `max_connections` or `work_mem` after an out-of-memory kill.
    ///
    /// ## What prevents it
    /// Memory for `shared_buffers` plus `work_mem` times sessions; `vm.overcommit_memory = 2`; never `kill -9`.
    ///
    /// ## References
    /// Postgres manual: "Managing Kernel Resources" (Linux memory overcommit), appendix "Error Codes" (57P02).
    "backend-crashed" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = said::notices(e).chain(said::errors(e)).find(|s| s.error.is(SqlState::CRASH_SHUTDOWN));
    let look = if e.front.admitted() { log::of_late } else { log::recent };
    let logged = look(e, Words::TerminatedBySignal);
    // What the standing session heard may be over by now.
    let now = told.is_some_and(|s| s.route != "standing") || !e.front.admitted();
    let severity = if now { Severity::Critical } else { Severity::Warning };
    let what = logged.as_ref().map_or("a server process crashed or was killed", |(entry, _)| {
        entry.message.lines().next().unwrap_or_default()
    });
    let summary = format!("{what}; every session was ended and the server went through recovery");
    let mut facts = told.iter().map(Said::fact).chain(logged.iter().map(|(_, fact)| fact.clone()));
    let proof = facts.next()?;
    let finding =
        Finding::new(CAUSE.id, Room::Server, severity, Confidence::Certain, summary, proof).and_all(facts);
    Some(restart_api(e).into_iter().fold(finding, Finding::mended_by).mended_by(RemedyPlan::by_hand(
        "find-the-killer",
        RemedyKind::Advice,
        "the server recovers by itself; find what killed the process before it happens again",
        "dmesg -T | grep -i -e oom -e 'killed process' -e segfault | tail -20   # on the server's host",
    )))
}

/// What helps an API that does not get over it, though the server lets everybody in again.
fn restart_api(e: &Evidence) -> Option<RemedyPlan> {
    let told = readiness::told(e).filter(|told| told.failing() && e.front.admitted())?;
    Some(RemedyPlan::by_hand(
        "recycle-api-pool",
        RemedyKind::AppRestart,
        "the server is up again and the API is not: its pool may keep the sessions that ended; if it does not come back \
         within half a minute, restart its instances one at a time",
        format!("curl -sS -i -m 5 {}   # after each instance that you restart", argument(&told.ready.url)),
    ).doing(Action::RestartApi))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::QueryOutcome;
    use crate::evidence::fixture::{fatal, healthy, log_of, window};
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use pgmedic_model::Role;

    #[test]
    fn backend_crashed_is_told_by_a_notice_before_the_end() {
        let mut e = healthy();
        let query = e.front.query.as_mut().unwrap();
        query
            .notices
            .push(fatal("57P02", "terminating connection because of crash of another server process"));
        query.outcome = QueryOutcome::Closed;
        let found = find(&e).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn backend_crashed_of_late_is_a_warning_once_sessions_are_admitted_again() {
        let mut e = healthy();
        window(&mut e, |host| {
            host.log = Some(log_of("00000", "server process (PID 4711) was terminated by signal 9: Killed"));
        });
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            found.summary.starts_with("server process (PID 4711) was terminated by signal 9: Killed; every")
        );
        ready_says(&mut e, answered(503, "disconnected"));
        let found = crate::diagnose(&e);
        let roles: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(roles[0], (CAUSE.id, Role::Root), "{roles:?}");
        assert!(roles[1..].iter().all(|(_, role)| *role == Role::Symptom), "{roles:?}");
        assert_eq!(found[0].remedies[0].remedy, "recycle-api-pool");
    }
}
