//! `readiness-lies`: the API says connected, and its database cannot be reached.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::readiness;
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::startup::evidence::StartupOutcome;
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The API's readiness says connected, while its database cannot be reached at all.
    ///
    /// ## What it is
    /// The endpoint looks at a flag, at a cached answer or at an old session, instead of asking the database. Load
    /// balancers go on sending requests that fail. The other way round (not ready, though the path is well) is
    /// `api-holds-stale-state`.
    ///
    /// ## What proves it
    /// 2xx, with `db: connected` or no word of it, while a walk to the same address finds nothing listening, silence, a
    /// close without a byte, or a server that starts or recovers. A refusal that old sessions survive (no slot, a
    /// password, a shutdown that waits, a name) proves nothing against the API and is not counted.
    ///
    /// ## What mends it
    /// Mend the root first. Then have the endpoint run `select 1` on a connection of the pool, with a timeout of a second,
    /// and answer 503 when that fails.
    ///
    /// ## What makes it worse
    /// Believing it: exporters and endpoints that hold an old connection say "up" through most of these failures.
    ///
    /// ## What prevents it
    /// A readiness test in CI with the database stopped.
    ///
    /// ## References
    /// Runbook: "Symptoms" (`/api/v1/ready`).
    "readiness-lies" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = readiness::told(e).filter(|t| t.connected())?;
    let broken = broken_for_old_sessions_too(e)?;
    let confidence = if told.db.is_some() { Confidence::Likely } else { Confidence::Possible };
    let summary = format!("readiness answers {}, but {} cannot be reached", told.phrase(), e.front.address);
    let command = "curl -sS -i -m 5 ".to_owned() + &crate::paste::argument(&told.ready.url);
    Some(
        Finding::new(CAUSE.id, Room::App, Severity::Warning, confidence, summary, told.fact())
            .and(broken)
            .mended_by(RemedyPlan::by_hand(
                "mend-readiness",
                RemedyKind::Advice,
                "let the endpoint ask the database (select 1, within a second), and answer 503 where that fails",
                command,
            )),
    )
}

/// A break of the service's own way in that sessions which were open before do not survive either.
fn broken_for_old_sessions_too(e: &Evidence) -> Option<Fact> {
    let route = &e.front;
    let place = route.address.as_str();
    let gone = [Words::StartingUp, Words::InRecovery, Words::NotYetAccepting, Words::NotAcceptingConnections];
    if let Some(said) = said::errors(e).find(|s| s.route == "front" && gone.iter().any(|w| s.says(*w))) {
        return Some(said.fact());
    }
    if let Some(startup) = &route.startup {
        let shut = matches!(startup.outcome, StartupOutcome::Closed | StartupOutcome::Reset);
        let text = "the peer closed during the login";
        return shut.then(|| Fact::new(Source::Startup, startup.at.plus(startup.elapsed_ms), place, text));
    }
    if let Some(proxy) = &route.proxy {
        let shut = matches!(proxy.first, FirstBytes::Closed | FirstBytes::Reset | FirstBytes::Silent);
        let text = format!("connected, and no answer within {}", proxy.elapsed_ms);
        return shut.then(|| Fact::new(Source::Bytes, proxy.at, place, text));
    }
    let attempts = &route.network.as_ref()?.attempts;
    let first =
        attempts.first().filter(|_| attempts.iter().all(|a| a.outcome != ConnectOutcome::Connected))?;
    Some(Fact::new(Source::Tcp, first.at, first.address.as_str(), "no connection comes about"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, first_bytes, healthy, refused, unconnected};
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    fn with(mut e: Evidence, status: u16, db: &str) -> Option<Finding> {
        ready_says(&mut e, answered(status, db));
        find(&e)
    }

    #[test]
    fn readiness_lies_where_nothing_listens() {
        let shut = || unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        let found = with(shut(), 200, "connected").unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Likely));
        assert_eq!(found.evidence.len(), 2);
        assert!(with(shut(), 503, "disconnected").is_none());
        assert!(with(first_bytes(FirstBytes::Closed), 200, "connected").is_some());
        assert!(with(refused("57P03", "the database system is starting up"), 200, "connected").is_some());
    }

    #[test]
    fn readiness_lies_not_where_old_sessions_go_on() {
        for (code, message) in [
            ("53300", "sorry, too many clients already"),
            ("28P01", "password authentication failed for user \"app\""),
            ("57P03", "the database system is shutting down"),
        ] {
            assert!(with(refused(code, message), 200, "connected").is_none(), "{message}");
        }
        assert!(with(healthy(), 200, "connected").is_none());
    }
}
