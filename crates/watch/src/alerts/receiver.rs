//! One receiver of the configuration: its name, where it is, what it wants to hear, and what of it nobody may see.

use super::{BadReceiver, webhook};
use crate::settings::{AlertKind, AlertTo};
use pgmedic_model::{Secret, Severity};
use pgmedic_path::http::post::Place;
use std::collections::BTreeMap;

/// A receiver.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// Its kind and host, `slack@hooks.slack.com`; a second one there has `#2`. It is what entries are kept under.
    pub(super) name: String,
    pub(super) kind: AlertKind,
    /// From this severity on.
    pub(super) from: Severity,
    /// See [`AlertTo::only`].
    pub(super) only: BTreeMap<String, String>,
    pub(super) place: Place,
    pub(super) key: Option<Secret>,
    /// What may not be shown.
    secrets: Vec<Secret>,
}

impl Receiver {
    /// The receivers of a configuration, in its order.
    pub(super) fn all(to: &[AlertTo]) -> Result<Vec<Self>, BadReceiver> {
        let mut receivers: Vec<Self> = Vec::new();
        for (index, to) in to.iter().enumerate() {
            let bad = |why| BadReceiver { number: index + 1, kind: kind_name(to.kind), why };
            let mut receiver = Self::of(to).map_err(bad)?;
            let same = receivers.iter().filter(|other| other.base() == receiver.name).count();
            if same > 0 {
                receiver.name = format!("{}#{}", receiver.name, same + 1);
            }
            receivers.push(receiver);
        }
        Ok(receivers)
    }

    fn of(to: &AlertTo) -> Result<Self, String> {
        let given = Place::parse(&to.url)?;
        let place = match to.kind {
            AlertKind::Alertmanager if !given.resource().ends_with("/api/v2/alerts") => {
                given.below("/api/v2/alerts")
            }
            AlertKind::PagerDuty if given.resource() == "/" => given.below("/v2/enqueue"),
            _ => given,
        };
        match (to.kind, &to.key) {
            (AlertKind::PagerDuty, None) => return Err("it needs the integration's routing key".to_owned()),
            (AlertKind::Webhook, Some(key)) => webhook::complaint(key).map_or(Ok(()), Err)?,
            _ => {}
        }
        let name = format!("{}@{}", kind_name(to.kind), place.authority());
        let secrets = secrets(to, &place);
        Ok(Self {
            name,
            kind: to.kind,
            from: to.from,
            only: to.only.clone(),
            place,
            key: to.key.clone(),
            secrets,
        })
    }

    /// The name without the number.
    fn base(&self) -> &str {
        self.name.split('#').next().unwrap_or_default()
    }

    /// A text of the peer's making without anything that is this receiver's secret.
    pub(super) fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), Secret::MASK))
    }

    /// Attempts at once. A channel's messages keep their order of time, and Slack takes one a second.
    pub(super) const fn at_once(&self) -> usize {
        match self.kind {
            AlertKind::Slack => 1,
            AlertKind::Alertmanager | AlertKind::Webhook | AlertKind::PagerDuty => 4,
        }
    }
}

/// What of a receiver is secret, longest first: the URL, its path and query, the last part of its path, its credentials,
/// and the key.
fn secrets(to: &AlertTo, place: &Place) -> Vec<Secret> {
    let url = to.url.reveal().trim();
    let mut all = vec![url, place.resource()];
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((credentials, _)) = authority.rsplit_once('@') {
        all.push(credentials);
        all.extend(credentials.split_once(':').map(|(_, password)| password));
    }
    if to.kind != AlertKind::Alertmanager {
        all.extend(place.resource().split(['/', '?', '&', '=']).filter(|part| part.len() >= 8));
    } else {
        all.extend(place.resource().split_once('?').map(|(_, query)| query));
    }
    all.extend(to.key.as_ref().map(Secret::reveal));
    // What is very short, or every request's, would mask words that are none.
    let mut all: Vec<_> =
        all.into_iter().filter(|text| text.len() >= 4 && *text != "/api/v2/alerts").collect();
    all.sort_by_key(|text| std::cmp::Reverse(text.len()));
    all.into_iter().map(Secret::new).collect()
}

/// A kind's name in configuration, metrics and receivers' names.
pub(super) const fn kind_name(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Alertmanager => "alertmanager",
        AlertKind::Webhook => "webhook",
        AlertKind::Slack => "slack",
        AlertKind::PagerDuty => "pagerduty",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(kind: AlertKind, url: &str, key: Option<&str>) -> AlertTo {
        AlertTo {
            kind,
            url: Secret::new(url),
            key: key.map(Secret::new),
            from: Severity::Warning,
            only: BTreeMap::new(),
        }
    }

    #[test]
    fn receivers_have_names_without_secrets_that_tell_them_apart() {
        let all = Receiver::all(&[
            to(AlertKind::Slack, "https://hooks.slack.com/services/T0/B0/XXXXhunter2", None),
            to(AlertKind::Slack, "https://hooks.slack.com/services/T0/B1/YYYYhunter2", None),
            to(AlertKind::Alertmanager, "http://probe:hunter2@am-1:9093/prefix/", None),
            to(AlertKind::PagerDuty, "https://events.pagerduty.com", Some("hunter2")),
        ])
        .unwrap();
        let names: Vec<_> = all.iter().map(|r| r.name.as_str()).collect();
        let want = [
            "slack@hooks.slack.com",
            "slack@hooks.slack.com#2",
            "alertmanager@am-1:9093",
            "pagerduty@events.pagerduty.com",
        ];
        assert_eq!(names, want);
        assert_eq!(all[2].place.resource(), "/prefix/api/v2/alerts");
        assert_eq!(all[3].place.resource(), "/v2/enqueue");
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    }

    #[test]
    fn a_bad_receiver_is_named_by_number_and_its_url_not_repeated() {
        for (kind, url, key, why) in [
            (AlertKind::Slack, "hooks.slack.com/hunter2", None, "not a"),
            (AlertKind::PagerDuty, "https://events.pagerduty.com/hunter2", None, "routing key"),
            (AlertKind::Webhook, "http://h/hunter2", Some("whsec_hunter2!"), "base64"),
        ] {
            let bad =
                Receiver::all(&[to(AlertKind::Webhook, "http://ok/", None), to(kind, url, key)]).unwrap_err();
            assert_eq!(bad.number, 2);
            assert!(bad.to_string().contains(why), "{bad}");
            assert!(!bad.to_string().contains("hunter2"), "{bad}");
        }
    }

    #[test]
    fn what_a_peer_repeats_of_its_url_or_key_is_masked() {
        let slack = "https://user:correcthorse@hooks.slack.com/services/T0123456/B0123456/abcdefhunter2?token=hunter2hunter2";
        let slack = &Receiver::all(&[to(AlertKind::Slack, slack, Some("batterystaple"))]).unwrap()[0];
        for said in [
            "no service at /services/T0123456/B0123456/abcdefhunter2",
            "unknown hook abcdefhunter2 of T0123456",
            "bad hunter2hunter2",
            "who is correcthorse with batterystaple?",
        ] {
            let shown = slack.masked(said);
            for secret in ["hunter2", "T0123456", "correcthorse", "batterystaple"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}
