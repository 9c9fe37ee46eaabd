//! What the API says of itself: its readiness, its pool's figures, its log. The three are looked at together and side by
//! side with the walk; none of them is on the way in.

use super::evidence::{AppEvidence, HttpOutcome, LogEvidence, PoolMetrics, ReadyEvidence};
use super::{log, metrics as figures};
use crate::evidence::Seen;
use crate::http::url::Endpoint;
use crate::http::{Answer, Exchange, Request, exchange};
use crate::rooms::dns::probe::Resolver;
use crate::rooms::network::evidence::ConnectOutcome;
use crate::service::Service;
use pgmedic_model::mask;
use serde_json::Value;
use tokio::time::Instant;

/// Bytes of a readiness answer's body that are read.
const READY_BODY: usize = 64 * 1024;
/// Bytes of a metrics page that are read.
const METRICS_BODY: usize = 1024 * 1024;
/// Characters of a body that are shown.
const SHOWN: usize = 200;

/// Looks at everything that the service says where to find. What readiness answers and the log has is told at once: the
/// windows look more closely where the API is not well.
pub async fn look(
    service: &Service,
    deadline: Instant,
    tell: impl FnOnce(&Seen<ReadyEvidence>, &Seen<LogEvidence>),
) -> AppEvidence {
    let resolver = Resolver::of(service);
    let database = service.target.host.to_string();
    let ready = async {
        match &service.ready {
            Some(url) => ready(url, &resolver, deadline).await,
            None => not_configured("ready", "the API's readiness endpoint"),
        }
    };
    let log = async {
        match &service.api_log {
            Some(source) => log::look(source, &database, deadline).await,
            None => not_configured("api_log", "the API's log on this host"),
        }
    };
    let words = async {
        let (ready, log) = tokio::join!(ready, log);
        tell(&ready, &log);
        (ready, log)
    };
    let metrics = async {
        match &service.metrics {
            Some(url) => metrics(url, &resolver, deadline).await,
            None => not_configured("metrics", "the API's page of pg_pool_* metrics"),
        }
    };
    let ((ready, log), metrics) = tokio::join!(words, metrics);
    AppEvidence { ready, metrics, log }
}

fn not_configured<T>(key: &str, what: &str) -> Seen<T> {
    Seen::NotSeen(format!("not configured (`{key}`, {what})"))
}

/// Asks the readiness endpoint.
pub async fn ready(url: &str, resolver: &Resolver, deadline: Instant) -> Seen<ReadyEvidence> {
    let endpoint = match Endpoint::parse(url) {
        Ok(endpoint) => endpoint,
        Err(why) => return Seen::NotSeen(format!("ready: {why}")),
    };
    let asked = Request::get(&endpoint, READY_BODY);
    let Exchange { at, elapsed_ms, dns, result } = exchange(asked, resolver, deadline).await;
    let outcome = result.map_or_else(|outcome| outcome, answered);
    Seen::Seen(ReadyEvidence { at, elapsed_ms, url: endpoint.shown, dns, outcome })
}

/// Reads an answer: its status, and what a JSON body says of the database.
fn answered(Answer { status, body, .. }: Answer) -> HttpOutcome {
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    let member = |name: &str| match json.as_ref()?.get(name)? {
        Value::String(text) => Some(mask::excerpt(text, SHOWN)),
        plain @ (Value::Bool(_) | Value::Number(_)) => Some(plain.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    HttpOutcome::Answered {
        status,
        db: member("db"),
        state: member("status"),
        reason: member("reason"),
        body: mask::excerpt(&String::from_utf8_lossy(&body), SHOWN),
    }
}

/// Reads the pool's figures from the API's metrics.
pub async fn metrics(url: &str, resolver: &Resolver, deadline: Instant) -> Seen<PoolMetrics> {
    let endpoint = match Endpoint::parse(url) {
        Ok(endpoint) => endpoint,
        Err(why) => return Seen::NotSeen(format!("metrics: {why}")),
    };
    let asked = Request::get(&endpoint, METRICS_BODY);
    let Exchange { at, elapsed_ms, result, .. } = exchange(asked, resolver, deadline).await;
    let mut read = PoolMetrics { at, elapsed_ms, url: endpoint.shown, ..PoolMetrics::default() };
    read.failure = match result {
        Err(outcome) => Some(in_words(&outcome)),
        // Figures are summed over their labels: a part of the page would give a part of the sum.
        Ok(Answer { status: 200, body, whole: false, .. }) => {
            Some(format!("{} bytes of the page came, and not its end ({METRICS_BODY} are read)", body.len()))
        }
        Ok(Answer { status: 200, body, .. }) => {
            let found = figures::read(&body, &mut read);
            (!found).then(|| "the page has no pg_pool_* metric".to_owned())
        }
        Ok(Answer { status, .. }) => Some(format!("status {status}")),
    };
    Seen::Seen(read)
}

/// How an exchange ended without an answer, for people.
pub(crate) fn in_words(outcome: &HttpOutcome) -> String {
    match outcome {
        HttpOutcome::Answered { status, .. } => format!("status {status}"),
        HttpOutcome::NotResolved => "its name does not resolve".to_owned(),
        HttpOutcome::NotConnected(ConnectOutcome::Refused) => "connection refused".to_owned(),
        HttpOutcome::NotConnected(ConnectOutcome::Silent) => "no answer to a connection attempt".to_owned(),
        HttpOutcome::NotConnected(_) => "no connection".to_owned(),
        HttpOutcome::Silent => "connected, and no whole answer in time".to_owned(),
        HttpOutcome::Closed => "closed without an answer".to_owned(),
        HttpOutcome::TlsFailed(text) => format!("TLS failed: {text}"),
        HttpOutcome::NotHttp(text) => format!("not HTTP: {text}"),
    }
}
