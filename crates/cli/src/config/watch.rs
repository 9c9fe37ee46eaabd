//! `[watch]`, and what `[[service]]` says for it: read and checked with the rest of the file, so that a mistake in it is
//! refused by every verb. Not in here: secrets and what is made of it (`watched`).

use super::document::{At, Pair, Section};
use super::error::{ConfigError, Show};
use super::resolve;
use pgmedic_model::Severity;
use pgmedic_watch::settings::AlertKind;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KEYS: [&str; 15] = [
    "interval",
    "walk",
    "timeout",
    "stable",
    "listen",
    "token",
    "read_token",
    "store",
    "keep",
    "keep_looks",
    "store_limit",
    "alerts",
    "external_url",
    "stop_file",
    "standing",
];
const ALERT_KEYS: [&str; 5] = ["kind", "url", "key", "severity", "match"];
const KINDS: [(&str, AlertKind); 4] = [
    ("alertmanager", AlertKind::Alertmanager),
    ("webhook", AlertKind::Webhook),
    ("slack", AlertKind::Slack),
    ("pagerduty", AlertKind::PagerDuty),
];
const SEVERITIES: [(&str, Severity); 2] = [("warning", Severity::Warning), ("critical", Severity::Critical)];
/// Labels that alerts and metrics have of their own.
const OWN_LABELS: [&str; 7] = ["alertname", "service", "cause", "severity", "room", "role", "instance"];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SHORTEST: Duration = Duration::from_millis(100);

/// What the section says; no secret is fetched yet.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) interval: Duration,
    pub(super) walk: Duration,
    pub(super) timeout: Duration,
    pub(super) stable: Duration,
    pub(super) listen: Option<At<SocketAddr>>,
    pub(super) token: Option<At<String>>,
    pub(super) read_token: Option<At<String>>,
    pub(super) store: Option<At<String>>,
    pub(super) keep: Duration,
    pub(super) keep_looks: Duration,
    pub(super) store_limit: u64,
    pub(super) alerts: Vec<Alert>,
    pub(super) external_url: Option<String>,
    pub(super) stop_file: Option<PathBuf>,
    pub(super) standing: bool,
}

/// One of `alerts`.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) kind: AlertKind,
    pub(super) url: At<String>,
    pub(super) key: Option<At<String>>,
    pub(super) from: Severity,
    pub(super) only: Vec<Pair>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            interval: SECOND,
            walk: 5 * SECOND,
            timeout: 5 * SECOND,
            stable: 5 * SECOND,
            listen: None,
            token: None,
            read_token: None,
            store: None,
            keep: 90 * DAY,
            keep_looks: DAY,
            store_limit: 256 << 20,
            alerts: Vec::new(),
            external_url: None,
            stop_file: None,
            standing: true,
        }
    }
}

/// Reads the section.
pub(super) fn read(top: &Section<'_, '_>, folder: &Path) -> Result<Keys, ConfigError> {
    let mut keys = Keys::default();
    let Some(section) = top.table("watch", "[watch]", &KEYS)? else { return Ok(keys) };
    for (key, field, least, most) in [
        ("interval", &mut keys.interval, SHORTEST, HOUR),
        ("walk", &mut keys.walk, SHORTEST, DAY),
        ("timeout", &mut keys.timeout, SHORTEST, 60 * SECOND),
        ("stable", &mut keys.stable, Duration::ZERO, HOUR),
        ("keep", &mut keys.keep, HOUR, 3660 * DAY),
        ("keep_looks", &mut keys.keep_looks, Duration::ZERO, 3660 * DAY),
    ] {
        if let Some(span) = section.read(key, |text| between(text, least, most))? {
            *field = span;
        }
    }
    keys.walk = keys.walk.max(keys.interval);
    keys.listen = listen(&section)?;
    for (key, field) in [("token", &mut keys.token), ("read_token", &mut keys.read_token)] {
        *field = section.string(key)?;
        if let Some(at) = field.as_ref().filter(|at| !resolve::is_reference(&at.value)) {
            let problem = format!("{key} does not stand in the file itself: write env:NAME or file:PATH");
            return Err(section.document.error(at.span.clone(), problem, Show::KeysOnly));
        }
    }
    keys.store = section.string("store")?;
    if let Some(limit) = section.size("store_limit")? {
        keys.store_limit = limit.max(1 << 20);
    }
    keys.external_url = section.read("external_url", resolve::http_url)?;
    keys.stop_file = section.string("stop_file")?.map(|at| folder.join(at.value));
    keys.standing = section.boolean("standing")?.unwrap_or(true);
    for alert in section.tables("alerts", "an alert", &ALERT_KEYS)? {
        keys.alerts.push(read_alert(&alert)?);
    }
    Ok(keys)
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = super::units::duration(text)?;
    let ms = |span: Duration| pgmedic_model::Ms::from(span);
    if span < least || span > most {
        return Err(format!("lies between {} and {}", ms(least), ms(most)));
    }
    Ok(span)
}

fn listen(section: &Section<'_, '_>) -> Result<Option<At<SocketAddr>>, ConfigError> {
    let Some(At { value, span }) = section.string("listen")? else { return Ok(None) };
    match value.parse() {
        Ok(value) => Ok(Some(At { value, span })),
        Err(_) => {
            let problem = "listen: not address:port, as in 127.0.0.1:9187";
            Err(section.document.error(span, problem, Show::Text))
        }
    }
}

fn read_alert(alert: &Section<'_, '_>) -> Result<Alert, ConfigError> {
    let Some(kind) = alert.word("kind", &KINDS)? else {
        let problem = "an alert has no kind: alertmanager, webhook, slack or pagerduty";
        return Err(alert.document.error(alert.span.clone(), problem, Show::KeysOnly));
    };
    let url = match alert.string("url")? {
        Some(url) => url,
        None if kind == AlertKind::PagerDuty => At { value: PAGERDUTY.to_owned(), span: alert.span.clone() },
        None => return Err(alert.document.error(alert.span.clone(), "an alert has no url", Show::KeysOnly)),
    };
    if !resolve::is_reference(&url.value) {
        resolve::http_url(&url.value).map_err(|problem| {
            alert.document.error(url.span.clone(), format!("url: {problem}"), Show::KeysOnly)
        })?;
    }
    let key = alert.string("key")?;
    if kind == AlertKind::PagerDuty && key.is_none() {
        let problem = "an alert of kind pagerduty has no key: its routing key, as env:NAME or file:PATH";
        return Err(alert.document.error(alert.span.clone(), problem, Show::KeysOnly));
    }
    let from = alert.word("severity", &SEVERITIES)?.unwrap_or(Severity::Warning);
    Ok(Alert { kind, url, key, from, only: alert.pairs("match")? })
}

/// Where PagerDuty takes events (PagerDuty, "Events API v2").
const PAGERDUTY: &str = "https://events.pagerduty.com";

/// `labels` of a service: names as Prometheus takes them, none of those that pgmedic sets.
pub(super) fn labels(service: &Section<'_, '_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut labels = BTreeMap::new();
    for (name, value) in service.pairs("labels")? {
        let mut chars = name.value.chars();
        let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let refused = |problem: String| Err(service.document.error(name.span.clone(), problem, Show::Text));
        if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') || name.value.starts_with("__") {
            return refused(
                "labels: a name is made of letters, digits and underscores, as in team".to_owned(),
            );
        }
        if OWN_LABELS.contains(&name.value.as_str()) {
            return refused(format!("labels: {} is set by pgmedic itself", name.value));
        }
        labels.insert(name.value, value.value);
    }
    Ok(labels)
}
