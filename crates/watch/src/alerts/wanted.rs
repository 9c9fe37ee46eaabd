//! Which receiver wants to hear what: from a severity on, of incidents whose labels match, and of which changes. Whoever has
//! heard of an incident hears how it ends.

use super::letter::{Known, Labels, Letter, Weight};
use super::receiver::Receiver;
use super::{Core, labels};
use crate::incident::{Change, Incident};
use crate::settings::AlertKind;
use pgmedic_model::policy::matches;

impl Core {
    /// True where a receiver wants to be told of a change.
    pub(super) fn wants(
        &self,
        receiver: &Receiver,
        change: Change,
        incident: &Incident,
        letter: &Letter,
        before: Option<&Known>,
    ) -> bool {
        if !self.is_for(receiver, incident, letter)
            && !before.is_some_and(|known| self.heard(receiver, known))
        {
            return false;
        }
        let weight = match (change, before) {
            (Change::Updated, Some(known)) => known.weight(incident),
            _ => Weight::Turn,
        };
        match receiver.kind {
            AlertKind::Alertmanager | AlertKind::Webhook => true,
            AlertKind::Slack => weight >= Weight::Progress,
            AlertKind::PagerDuty => weight >= Weight::Turn,
        }
    }

    /// True where an incident is one of which a receiver wants to hear.
    pub(super) fn is_for(&self, receiver: &Receiver, incident: &Incident, letter: &Letter) -> bool {
        let outgrown = letter.outgrown.as_ref().map(|(labels, _)| labels);
        let services = incident.services.keys();
        let mut of_each = services.flat_map(|service| {
            [Some(&letter.labels), outgrown].into_iter().flatten().map(|labels| self.as_of(service, labels))
        });
        incident.severity >= receiver.from
            && (receiver.only.is_empty() || of_each.any(|labels| matches_all(receiver, &labels)))
    }

    /// True where a receiver has heard of an incident.
    pub(super) fn heard(&self, receiver: &Receiver, known: &Known) -> bool {
        let outgrown = known.outgrown.as_ref().map(|(labels, _)| labels);
        let mut of_each = known.services.iter().flat_map(|service| {
            [Some(&known.labels), outgrown].into_iter().flatten().map(|labels| self.as_of(service, labels))
        });
        known.severity() >= receiver.from
            && (receiver.only.is_empty() || of_each.any(|labels| matches_all(receiver, &labels)))
    }

    /// An incident's labels as those of one of its services.
    fn as_of(&self, service: &str, labels: &Labels) -> Labels {
        labels::as_of(service, labels, self.plan.labels.get(service))
    }
}

fn matches_all(receiver: &Receiver, labels: &Labels) -> bool {
    receiver.only.iter().all(|(name, pattern)| labels.get(name).is_some_and(|value| matches(pattern, value)))
}
