//! `readiness-failing`: the API says that it cannot use its database.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::rooms::app::readiness;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The API's readiness endpoint says that it cannot use its database.
    ///
    /// ## What it is
    /// Usually the symptom of what the other rooms show. Where they show nothing, the API's own way in differs from
    /// pgmedic's: another URL or secret, another resolver, another network, an old release.
    ///
    /// ## What proves it
    /// Any answer but 2xx, or a 2xx whose `db` member says `disconnected`. A 404 or 401 is an answer about the endpoint,
    /// not about the database: then this is only likely.
    ///
    /// ## What mends it
    /// Mend the root that stands beside it. Without one: compare the API's `DATABASE_URL` (host, port, role, database,
    /// sslmode) with the address that was walked, and look the name up on the API's machine: `getent hosts`.
    ///
    /// ## What makes it worse
    /// Restarting the database because the *API* says no. Restarting every instance at once: all connect in one moment.
    ///
    /// ## What prevents it
    /// A readiness endpoint that names its reason; one source for the URL of all instances.
    ///
    /// ## References
    /// Runbook: "Symptoms". Kubernetes documentation: readiness probes.
    "readiness-failing" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = readiness::told(e).filter(|t| t.failing())?;
    let sure = told.about_the_database();
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let doubt = match sure {
        true => "",
        false if told.vouches_for_the_database() => ": something else that the API needs is not well",
        false => ": is this the readiness endpoint, and may pgmedic ask it?",
    };
    let summary = format!("readiness answers {}{doubt}", told.phrase());
    let command = format!("curl -sS -i -m 5 {}", argument(&told.ready.url));
    let plan =
        "mend the root cause; if there is none, compare the API's DATABASE_URL with the address walked to";
    Some(
        Finding::new(CAUSE.id, Room::App, Severity::Critical, confidence, summary, told.fact())
            .mended_by(RemedyPlan::by_hand("compare-settings", RemedyKind::Advice, plan, command)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    fn with(status: u16, db: &str) -> Option<Finding> {
        let mut e = healthy();
        ready_says(&mut e, answered(status, db));
        find(&e)
    }

    #[test]
    fn readiness_failing_by_status_or_by_db_member() {
        let found = with(503, "disconnected").unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(found.summary, "readiness answers 503, db: disconnected");
        assert!(with(200, "disconnected").is_some());
        assert!(with(200, "connected").is_none());
        let other = with(503, "connected").unwrap();
        assert_eq!(other.confidence, Confidence::Likely);
        assert!(other.summary.ends_with("something else that the API needs is not well"));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn readiness_failing_with_a_missing_page_is_only_likely() {
        let mut e = healthy();
        let missing = crate::rooms::app::evidence::HttpOutcome::Answered {
            status: 404,
            db: None,
            state: None,
            reason: None,
            body: "not found".into(),
        };
        ready_says(&mut e, missing);
        assert_eq!(find(&e).unwrap().confidence, Confidence::Likely);
    }
}
