//! From what is to be told to the request that tells it: pure, for each kind of receiver. Sending is `deliver`'s.

use super::letter::Letter;
use super::{alertmanager, pagerduty, slack, webhook};
use crate::settings::AlertKind;
use pgmedic_model::{Secret, Timestamp};

/// What a request depends on besides what it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// Until when an Alertmanager takes an alert to last that is not said again.
    pub(super) firing_until: Timestamp,
    /// Where people reach this daemon.
    pub(super) external_url: Option<&'a str>,
    /// The receiver's key.
    pub(super) key: Option<&'a Secret>,
}

/// A POST of JSON. It may hold the receiver's key, and is neither kept nor shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Headers besides `Content-Type`.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(super) body: String,
}

/// The request for one receiver. Only an Alertmanager is told several things at once; others are told the first.
pub(super) fn message(kind: AlertKind, letters: &[&Letter], setting: &Setting<'_>) -> Option<Message> {
    let first = letters.first()?;
    Some(match kind {
        AlertKind::Alertmanager => alertmanager::message(letters, setting),
        AlertKind::Webhook => webhook::message(first, setting),
        AlertKind::Slack => slack::message(first, setting),
        AlertKind::PagerDuty => pagerduty::message(first, setting),
    })
}
