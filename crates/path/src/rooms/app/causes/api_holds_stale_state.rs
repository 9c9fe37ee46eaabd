//! `api-holds-stale-state`: the path is healthy, only the API is not.

use crate::cause::Proof;
use crate::evidence::{Evidence, QueryEvidence, QueryOutcome};
use crate::paste::argument;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use pgmedic_model::{Action, Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The path to the database is healthy; only the API, which holds on to what is past, is not.
    ///
    /// ## What it is
    /// After an outage its pool keeps dead sockets, an old address of the name, or a flag that nothing resets. The walk
    /// takes the API's own way in and is answered; the API is not.
    ///
    /// ## What proves it
    /// A login and a query on the service's own way in succeed, no other room shows a fault, and readiness says
    /// disconnected. An API that reports a *fresh* attempt failing (refused, a timeout, a name, a FATAL) is not this: its
    /// settings, resolver or network differ (`readiness-failing`). Where pgmedic logs in by a role of its own, the server may
    /// refuse the API's and let this one in: its log has a FATAL for each attempt.
    ///
    /// ## What mends it
    /// Ask again in half a minute: good pools mend themselves. Log in once by the API's own role. Then restart the API, one instance at a time, and see
    /// readiness before the next.
    ///
    /// ## What makes it worse
    /// Restarting the database, which is well. Restarting every instance at once.
    ///
    /// ## What prevents it
    /// `max_lifetime` and a test on checkout in the pool; keepalives; a readiness check that opens what it needs.
    ///
    /// ## References
    /// Runbook, section 2 ("restart the API to reset connection pool").
    "api-holds-stale-state" in App, proved by Proof::Drill;
}

/// What an API logs when a fresh attempt of its own fails.
const FRESH_FAILURES: [LogPattern; 8] = [
    LogPattern::Refused,
    LogPattern::ConnectTimeout,
    LogPattern::NameResolution,
    LogPattern::AuthenticationFailed,
    LogPattern::TooManyConnections,
    LogPattern::TlsFailed,
    LogPattern::ServerFatal,
    LogPattern::NotInitialised,
];

fn find(e: &Evidence) -> Option<Finding> {
    let told = readiness::told(e).filter(|t| t.failing() && t.about_the_database())?;
    let fresh = told.meaning().is_some_and(|m| FRESH_FAILURES.contains(&m))
        || FRESH_FAILURES.iter().any(|p| readiness::logged(e, *p).is_some());
    let answered = answer(e).filter(|_| !fresh && path_is_healthy(e))?;
    let summary = format!("the path to the database is healthy, yet readiness answers {}", told.phrase());
    let command =
        format!("curl -sS -i -m 5 {}   # after each instance that you restart", argument(&told.ready.url));
    Some(
        Finding::new(CAUSE.id, Room::App, Severity::Critical, Confidence::Likely, summary, told.fact())
            .and(answered)
            .or_else(
                "readiness-failing",
                "the API's own DATABASE_URL, its role first, and its resolver and network: if they differ from what was walked, it is no \
                 stale state; the server's log has the FATAL of a role that it refuses",
            )
            .mended_by(RemedyPlan::by_hand(
                "recycle-api-pool",
                RemedyKind::AppRestart,
                "reset the API's pool: restart its instances one at a time, leave the database alone",
                command,
            ).doing(Action::RestartApi)),
    )
}

/// The answer on the service's own way in.
fn answer(e: &Evidence) -> Option<Fact> {
    let QueryEvidence { at, elapsed_ms, outcome: QueryOutcome::Answered(_), .. } = e.front.query.as_ref()?
    else {
        return None;
    };
    let user = &e.target.user;
    let text = format!("logged in as {user} on the service's way in; the query was answered in {elapsed_ms}");
    Some(Fact::new(Source::Sql, *at, e.front.address.as_str(), text))
}

/// No other room shows anything that could keep the API waiting. What is only a warning of the storage could not, nor
/// could one of the server, which it is well in spite of: a crash that it got over.
fn path_is_healthy(e: &Evidence) -> bool {
    crate::rooms::causes()
        .filter(|cause| cause.room != Room::App)
        .filter_map(|cause| (cause.find)(e))
        .all(|f| matches!(f.room, Room::Server | Room::Storage) && f.severity == Severity::Warning)
}

#[cfg(test)]
mod tests {
    use super::super::api_not_initialised::tests::{log_says, not_ready};
    use super::*;
    use crate::evidence::fixture::{healthy, refused};
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    #[test]
    fn api_holds_stale_state_where_only_the_api_is_not_well() {
        let mut e = healthy();
        ready_says(&mut e, not_ready("Connection terminated unexpectedly"));
        let found = find(&e).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert_eq!(found.alternatives[0].cause, "readiness-failing");
        assert_eq!(found.remedies[0].kind, RemedyKind::AppRestart);
        for status in [200, 503] {
            ready_says(&mut e, answered(status, "connected"));
            assert!(find(&e).is_none(), "{status}: its database is not what it misses");
        }
    }

    #[test]
    fn api_holds_stale_state_not_where_its_fresh_attempts_fail() {
        let mut e = healthy();
        ready_says(&mut e, not_ready("error connecting to server: Connection refused (os error 111)"));
        assert!(find(&e).is_none());
        ready_says(&mut e, answered(503, "disconnected"));
        assert!(find(&e).is_some());
        log_says(&mut e, LogPattern::NameResolution, false);
        assert!(find(&e).is_none());
    }

    #[test]
    fn api_holds_stale_state_not_where_another_room_shows_a_fault() {
        let mut e = refused("53300", "sorry, too many clients already");
        ready_says(&mut e, answered(503, "disconnected"));
        assert!(find(&e).is_none());
        let mut e = crate::evidence::fixture::with_facts(|f| f.admission.client_backends = 95);
        ready_says(&mut e, answered(503, "disconnected"));
        assert!(find(&e).is_none());
    }
}
