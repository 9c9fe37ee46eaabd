//! `api-unreachable`: the API itself cannot be asked.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::instances;
use crate::paste::argument;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::network::evidence::ConnectOutcome;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The API cannot be reached, so its readiness cannot be asked.
    ///
    /// ## What it is
    /// A failure of its own, whatever the database does: the API is stopped, crashed, hangs, or its name or network is
    /// broken. A database failure seldom looks like this; an API that exits when it has no database does.
    ///
    /// ## What proves it
    /// The readiness URL's name does not resolve, its port refuses or stays silent, or what answers is not HTTP.
    ///
    /// ## What mends it
    /// Look at its instances and their last log lines. An API that exits at the start for want of a database comes back
    /// with the database; any other is started or rolled back by itself.
    ///
    /// ## What makes it worse
    /// Restarting the database: it is not what was asked.
    ///
    /// ## What prevents it
    /// A supervisor with backoff; two instances; an alert that tells "unreachable" from "not ready".
    ///
    /// ## References
    /// connect(2); Runbook: "Symptoms".
    "api-unreachable" in App, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let ready = e.app.ready.get()?;
    let (what, source, confidence) = match &ready.outcome {
        HttpOutcome::Answered { .. } => return None,
        HttpOutcome::NotResolved => {
            ("its name gives no address".to_owned(), Source::Dns, Confidence::Certain)
        }
        HttpOutcome::NotConnected(outcome) => {
            (not_connected(*outcome).to_owned(), Source::Tcp, certainty(*outcome))
        }
        HttpOutcome::Silent => {
            (format!("no answer within {}", ready.elapsed_ms), Source::Http, Confidence::Certain)
        }
        HttpOutcome::Closed => ("it closed without an answer".to_owned(), Source::Http, Confidence::Certain),
        HttpOutcome::TlsFailed(text) => (format!("TLS failed: {text}"), Source::Http, Confidence::Likely),
        HttpOutcome::NotHttp(text) => {
            (format!("what answers is not HTTP: {text}"), Source::Http, Confidence::Likely)
        }
    };
    let list = instances::of_api(e);
    let down = instances::all_down(list);
    let first = list.first().filter(|_| down);
    let state = first.map(|i| format!("; {}", instances::state(e, i))).unwrap_or_default();
    let summary = format!("the API cannot be asked at {}: {what}{state}", ready.url);
    let proof = Fact::new(source, ready.at.plus(ready.elapsed_ms), ready.url.as_str(), what);
    let seen = list.iter().filter(|i| down || instances::ended_lately(e, i)).take(4);
    let finding = Finding::new(CAUSE.id, Room::App, Severity::Critical, confidence, summary, proof)
        .and_all(seen.map(|i| instances::fact(e, i)))
        .mended_by(RemedyPlan::by_hand(
            "see-api",
            RemedyKind::Advice,
            "look at the API's instances and their last log lines; start or roll back what is down",
            format!("curl -sS -i -m 5 {}", argument(&ready.url)),
        ));
    let start = first.filter(|i| !i.by_hand.start.is_empty()).map(|i| {
        let plan = "start it, if nobody meant it to be stopped";
        RemedyPlan::by_hand("start-api", RemedyKind::AppRestart, plan, i.by_hand.start.as_str())
    });
    Some(start.into_iter().fold(finding, Finding::mended_by))
}

const fn not_connected(outcome: ConnectOutcome) -> &'static str {
    match outcome {
        ConnectOutcome::Refused | ConnectOutcome::NoSuchSocket => "nothing listens there",
        ConnectOutcome::Silent => "no answer to the connection attempt",
        ConnectOutcome::Reset => "the connection was reset",
        ConnectOutcome::Rejected => "no route to its host",
        ConnectOutcome::Unreachable => "its network is unreachable",
        ConnectOutcome::Forbidden => "this host forbids the connection",
        ConnectOutcome::CannotTry => "this host cannot try",
        ConnectOutcome::QueueFull => "its queue of connections is full",
        ConnectOutcome::Connected | ConnectOutcome::Failed => "the connection failed",
    }
}

/// What this host itself refuses says little of the API.
const fn certainty(outcome: ConnectOutcome) -> Confidence {
    match outcome {
        ConnectOutcome::Forbidden | ConnectOutcome::CannotTry => Confidence::Possible,
        ConnectOutcome::Unreachable | ConnectOutcome::Failed => Confidence::Likely,
        _ => Confidence::Certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    fn ended(outcome: HttpOutcome) -> Option<Finding> {
        let mut e = healthy();
        ready_says(&mut e, outcome);
        find(&e)
    }

    #[test]
    fn api_unreachable_is_a_failure_of_its_own() {
        let found = ended(HttpOutcome::NotConnected(ConnectOutcome::Refused)).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.ends_with("/api/v1/ready: nothing listens there"));
        assert!(ended(HttpOutcome::NotResolved).is_some());
        assert!(ended(HttpOutcome::Silent).is_some());
        let own = ended(HttpOutcome::NotConnected(ConnectOutcome::CannotTry)).unwrap();
        assert_eq!(own.confidence, Confidence::Possible);
        assert!(ended(answered(503, "disconnected")).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn api_unreachable_names_the_instances_that_are_down() {
        use crate::instances::tests::{instance, platform_tells};
        use crate::platform::told::InstanceState;
        let told = |states: &[InstanceState]| {
            let mut e = healthy();
            ready_says(&mut e, HttpOutcome::NotResolved);
            platform_tells(&mut e, Vec::new());
            let mut list: Vec<_> = states.iter().map(|s| instance(*s, "stopped")).collect();
            list[0].by_hand.start = "fly machine start 148e -a api".into();
            let crate::evidence::Seen::Seen(platform) = &mut e.platform else { unreachable!() };
            platform.api = crate::evidence::Seen::Seen(list);
            find(&e).unwrap()
        };
        let found = told(&[InstanceState::Stopped]);
        assert!(found.summary.ends_with("; muddy-sun-1 (148e) is stopped"), "{}", found.summary);
        assert_eq!(found.remedies[1].command, "fly machine start 148e -a api");
        let one_runs = told(&[InstanceState::Stopped, InstanceState::Running]);
        assert_eq!(
            (one_runs.evidence.len(), one_runs.remedies.len()),
            (1, 1),
            "a stopped one is nobody's fault"
        );
    }
}
