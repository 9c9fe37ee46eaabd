//! `pgmedic watch --check`: what would be watched, and what would be done by itself. Nothing is connected to.

use crate::render::style::{Look, Paint};
use crate::render::text::visible;
use pgmedic_model::{Ms, RemedyKind};
use pgmedic_watch::engine::{Plan, Planned};
use pgmedic_watch::settings::{AlertKind, AlertTo, Settings, StoreAt};
use std::time::Duration;

/// The whole page.
pub(super) fn page(plan: &Plan, look: &Look) -> String {
    let Plan { settings, services } = plan;
    let mut lines = vec![
        look.paint(Paint::Strong, &format!("{} is right", visible(&settings.home))),
        String::new(),
        format!("looks     every {}, from outside every {}", span(settings.interval), span(settings.walk)),
        format!("listens   {}", listens(settings)),
        format!("store     {}", store(settings)),
        format!("state     {}", settings.state.display()),
    ];
    for alert in &settings.alerts {
        lines.push(format!("alerts    {}", receiver(alert)));
    }
    if settings.alerts.is_empty() {
        lines.push("alerts    nobody".to_owned());
    }
    lines.push(String::new());
    lines.extend(services.iter().flat_map(service));
    lines.into_iter().map(|line| visible(&line).trim_end().to_owned() + "\n").collect()
}

fn service(planned: &Planned) -> Vec<String> {
    let watched = &planned.watched;
    let (service, policy) = (&watched.service, &watched.service.policy);
    let standing = if watched.standing { "through a standing session" } else { "from outside alone" };
    let mut lines = vec![format!("{}  {}  {standing}", service.name, service.target.display())];
    let kinds: Vec<&str> =
        policy.auto.iter().filter(|k| **k != RemedyKind::Advice).map(|k| k.as_str()).collect();
    lines.push(if kinds.is_empty() {
        "  does nothing by itself: [service.policy] auto is empty".to_owned()
    } else {
        format!(
            "  by itself: {}; at most {} times an hour, {} between two, a person after {} that failed",
            kinds.join(", "),
            watched.automatic.per_hour,
            Ms(policy.cooldown_ms),
            watched.automatic.escalate_after,
        )
    });
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    for quiet in &watched.automatic.quiet {
        lines.push(format!("  nothing from {} to {} UTC", clock(quiet.from), clock(quiet.until)));
    }
    if !watched.labels.is_empty() {
        let labels: Vec<String> =
            watched.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.push(format!("  labels {}", labels.join(" ")));
    }
    lines
}

fn span(span: Duration) -> Ms {
    Ms::from(span)
}

fn listens(settings: &Settings) -> String {
    match (settings.listen, &settings.token) {
        (None, _) => "nowhere: no metrics and no API".to_owned(),
        (Some(at), None) => format!("{at}, without a token: what acts cannot be reached"),
        (Some(at), Some(_)) => format!("{at}, with a token for what acts"),
    }
}

fn store(settings: &Settings) -> String {
    let keep = span(settings.keep);
    match &settings.store {
        StoreAt::Sqlite(path) => {
            format!("{}, at most {} MB, incidents for {keep}", path.display(), settings.store_limit >> 20)
        }
        StoreAt::Postgres(target) => format!("{}, incidents for {keep}", target.display()),
        StoreAt::Memory => "in memory: nothing is there after a restart".to_owned(),
    }
}

/// A receiver without what is secret of its URL: the host.
fn receiver(alert: &AlertTo) -> String {
    let kind = match alert.kind {
        AlertKind::Alertmanager => "alertmanager",
        AlertKind::Webhook => "webhook",
        AlertKind::Slack => "slack",
        AlertKind::PagerDuty => "pagerduty",
    };
    let url = alert.url.reveal();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let from = if alert.from == pgmedic_model::Severity::Critical { ", what is critical alone" } else { "" };
    let only: Vec<String> = alert.only.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let only = if only.is_empty() { String::new() } else { format!(", of {} alone", only.join(" ")) };
    format!("{kind} at {host}{from}{only}")
}
