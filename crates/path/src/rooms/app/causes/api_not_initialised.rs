//! `api-not-initialised`: the API serves without ever having made its pool.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use pgmedic_model::{Action, Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The API serves requests, but never made its connection pool: `Database not initialised`.
    ///
    /// ## What it is
    /// It started while its database could not be reached (or without its URL), caught the error and went on. It does
    /// not try again by itself: mending the database does not mend this instance.
    ///
    /// ## What proves it
    /// The line `Database not initialised` in its log, with no later line that says it is connected; or the same words as
    /// the reason of a failing readiness endpoint. A line older than ten minutes, or a readiness that says connected,
    /// makes it a thing of the past.
    ///
    /// ## What mends it
    /// 1. Mend what kept it from its database at the start: the other rooms say what, or its `DATABASE_URL` is missing.
    /// 2. Restart its instances, one at a time; watch readiness in between.
    ///
    /// ## What makes it worse
    /// Restarting it before the database is back: it starts the same way again. Restarting the database.
    ///
    /// ## What prevents it
    /// Fail at the start, or retry with backoff, instead of serving without a pool; readiness that stays 503 until then.
    ///
    /// ## References
    /// Runbook: "Symptoms" and section 2.
    "api-not-initialised" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = readiness::told(e);
    if told.as_ref().is_some_and(|t| t.connected()) {
        return None;
    }
    let says_so = told.as_ref().filter(|t| t.failing() && t.meaning() == Some(LogPattern::NotInitialised));
    let logged = readiness::logged(e, LogPattern::NotInitialised).map(|(_, fact)| fact);
    let sure = says_so.is_some() || told.as_ref().is_some_and(|t| t.failing());
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let url = told.as_ref().map_or("READINESS_URL", |t| &t.ready.url);
    let command = format!("curl -sS -i -m 5 {}   # after each instance that you restart", argument(url));
    let mut facts = says_so.map(|t| t.fact()).into_iter().chain(logged);
    let proof = facts.next()?;
    let summary = "the API runs without a connection pool: it never initialised its database";
    Some(
        Finding::new(CAUSE.id, Room::App, Severity::Critical, confidence, summary, proof)
            .and_all(facts)
            .mended_by(
                RemedyPlan::by_hand(
                    "recycle-api-pool",
                    RemedyKind::AppRestart,
                    "once its database can be reached, restart the API, one instance at a time",
                    command,
                )
                .doing(Action::RestartApi),
            ),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy};
    use crate::rooms::app::evidence::{HttpOutcome, LogEvidence, LogHit};
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    /// Readiness answers 503 with this reason.
    pub(crate) fn not_ready(reason: &str) -> HttpOutcome {
        let (db, reason) = (Some("disconnected".into()), Some(reason.into()));
        HttpOutcome::Answered { status: 503, db, state: None, reason, body: String::new() }
    }

    /// The API's log holds one known sentence.
    pub(crate) fn log_says(e: &mut Evidence, pattern: LogPattern, stale: bool) {
        let hit = LogHit { pattern, count: 3, last: "[error] Database not initialised".into(), stale };
        let place = "/var/log/api.log".to_owned();
        e.app.log = Seen::Seen(LogEvidence { at: AT, place, lines_read: 40, hits: vec![hit] });
    }

    /// The API's log holds this line, known for that.
    pub(crate) fn log_line(e: &mut Evidence, pattern: LogPattern, line: &str) {
        log_says(e, pattern, false);
        if let Seen::Seen(log) = &mut e.app.log {
            line.clone_into(&mut log.hits[0].last);
        }
    }

    #[test]
    fn api_not_initialised_by_the_reason_that_readiness_gives() {
        let mut e = healthy();
        ready_says(&mut e, not_ready("Database not initialised"));
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.evidence[0].fact, "503, db: disconnected (Database not initialised)");
        ready_says(&mut e, not_ready("Connection terminated unexpectedly"));
        assert!(find(&e).is_none());
    }

    #[test]
    fn api_not_initialised_by_a_log_line_that_still_holds() {
        let mut e = healthy();
        log_says(&mut e, LogPattern::NotInitialised, false);
        assert_eq!(find(&e).unwrap().confidence, Confidence::Likely);
        ready_says(&mut e, answered(503, "disconnected"));
        assert_eq!(find(&e).unwrap().confidence, Confidence::Certain);
        ready_says(&mut e, answered(200, "connected"));
        assert!(find(&e).is_none());
        let mut past = healthy();
        log_says(&mut past, LogPattern::NotInitialised, true);
        assert!(find(&past).is_none());
    }
}
