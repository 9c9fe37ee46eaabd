//! The API's own account: readiness, metrics, log. Whether the API is well is `check`'s; here it is whether it tells.

use super::files::{self, Reach};
use super::{Check, Subject};
use pgmedic_path::Seen;
use pgmedic_path::rooms::app::evidence::{HttpOutcome, PoolMetrics, ReadyEvidence};
use pgmedic_path::service::LogSource;

const READY: &str = "see what the API says of its database, nor prove that it is back after a fix";
const METRICS: &str = "see the API's pool: who waits, how full it is; and audit its sum of connections by it";
const LOG: &str = "cite what the API's driver says, the only witness where no probe reaches";

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let app = &s.evidence.app;
    let ready = match (&s.service.ready, &app.ready) {
        (None, _) => Check::not_configured("ready", "the API's readiness (`ready`)", READY),
        (Some(_), Seen::NotSeen(why)) => Check::not_seen("ready", "the API's readiness", why, READY),
        (Some(_), Seen::Seen(seen)) => ready(seen),
    };
    let metrics = match (&s.service.metrics, &app.metrics) {
        (None, _) => Check::not_configured("metrics", "the API's metrics (`metrics`)", METRICS),
        (Some(_), Seen::NotSeen(why)) => Check::not_seen("metrics", "the API's metrics", why, METRICS),
        (Some(_), Seen::Seen(seen)) => metrics(seen),
    };
    let log = match &s.service.api_log {
        Some(LogSource::File(path)) => files::check("api-log", path, &Reach::of(path), s.user, LOG),
        Some(LogSource::Text(_)) => Check::ok("api-log", "the API's log", "read from stdin"),
        // A platform may have it instead.
        None => Check::not_configured("api-log", "the API's log on this host (`api_log`)", LOG),
    };
    vec![ready, metrics, log]
}

fn ready(seen: &ReadyEvidence) -> Check {
    let missing = |said: String| Check::missing("ready", &seen.url, said, READY);
    match &seen.outcome {
        HttpOutcome::Answered { status, db: None, state: None, .. } if !matches!(status, 200..=299 | 503) => {
            missing(format!(
                "status {status}: no readiness endpoint is there for pgmedic; is the path right?"
            ))
        }
        HttpOutcome::Answered { status, db: None, .. } => Check::ok(
            "ready",
            &seen.url,
            format!("status {status}; says nothing of its database (a member `db`)"),
        ),
        HttpOutcome::Answered { status, db: Some(db), .. } => {
            Check::ok("ready", &seen.url, format!("status {status}, db: {db}"))
        }
        HttpOutcome::NotResolved => missing("its name does not resolve".to_owned()),
        HttpOutcome::NotConnected(how) => missing(format!("not connected: {how:?}").to_lowercase()),
        HttpOutcome::Silent => missing("no answer in time".to_owned()),
        HttpOutcome::Closed => missing("it hung up without an answer".to_owned()),
        HttpOutcome::TlsFailed(why) => missing(format!("TLS: {why}")),
        HttpOutcome::NotHttp(why) => missing(format!("no HTTP: {why}")),
    }
}

fn metrics(seen: &PoolMetrics) -> Check {
    if let Some(why) = &seen.failure {
        return Check::missing("metrics", &seen.url, why, METRICS);
    }
    let absent: Vec<&str> = [
        ("pg_pool_max", seen.max),
        ("pg_pool_size", seen.size),
        ("pg_pool_idle", seen.idle),
        ("pg_pool_in_use", seen.in_use),
        ("pg_pool_waiting", seen.waiting),
        ("pg_pool_timeouts_total", seen.timeouts_total),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.is_none().then_some(name))
    .collect();
    if absent.is_empty() {
        return Check::ok("metrics", &seen.url, "every pg_pool_* metric is there");
    }
    Check::missing("metrics", &seen.url, format!("the page has no {}", absent.join(", ")), METRICS)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::Scene;
    use super::*;

    fn answered(status: u16, db: Option<&str>) -> State {
        let db = db.map(str::to_owned);
        let outcome = HttpOutcome::Answered { status, db, state: None, reason: None, body: String::new() };
        let scene = Scene::default();
        let dns = scene.evidence.front.dns.clone();
        let seen = ReadyEvidence {
            at: scene.evidence.started_at,
            elapsed_ms: scene.evidence.elapsed_ms,
            url: "http://api/ready".to_owned(),
            dns,
            outcome,
        };
        ready(&seen).state
    }

    #[test]
    fn an_api_that_is_not_ready_tells_and_one_that_knows_no_such_page_does_not() {
        assert_eq!(answered(503, Some("disconnected")), State::Ok);
        assert_eq!(answered(200, None), State::Ok);
        assert_eq!((answered(404, None), answered(403, None)), (State::Missing, State::Missing));
    }

    #[test]
    fn a_metric_that_is_not_on_the_page_is_named() {
        let all = Some(1.0);
        let whole = PoolMetrics {
            max: all,
            size: all,
            idle: all,
            in_use: all,
            waiting: all,
            timeouts_total: all,
            ..PoolMetrics::default()
        };
        assert_eq!(metrics(&whole).state, State::Ok);
        let check = metrics(&PoolMetrics { waiting: None, ..whole });
        assert_eq!((check.state, check.said.as_str()), (State::Missing, "the page has no pg_pool_waiting"));
    }
}
