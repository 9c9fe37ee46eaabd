//! How a root that no incident holds comes into one: it follows on from another name, comes back, joins others, or is new. Pure.

use super::case::{Case, Share};
use super::known::{Known, Weight, ms, named};
use super::places::places;
use super::{Incidents, Verdict};
use crate::incident::{Affected, Change, Incident};
use crate::seen::{Kind, Seen};
use pgmedic_model::{Finding, Severity, Timestamp};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

impl Incidents {
    /// The incident goes by this root's name now. False where it is another trouble: what it has now it does not share
    /// with the other services that the incident holds for.
    pub(super) fn follows(
        &mut self,
        case: &mut Case,
        id: &str,
        seen: &Seen,
        finding: &Finding,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) -> bool {
        let Some((known, share)) = self.known.get_mut(id).zip(case.shares.get_mut(id)) else { return false };
        let incident = &known.incident;
        let others = incident.services.iter().any(|(s, a)| a.until.is_none() && **s != *seen.service);
        let shared = places(seen, finding).iter().any(|place| incident.places.contains(place));
        if others && !shared {
            return false;
        }
        let worse = finding.severity > known.incident.severity;
        let sure =
            worse || finding.severity < Severity::Critical || share.was_seen_as(&finding.cause, seen.at);
        if !sure || !known.may_be_renamed(now) {
            // It is ill, by whatever name.
            share.well_since = None;
            return true;
        }
        if share.well_since.is_some_and(|since| since < seen.at) {
            known.flapped(seen.at, ms(self.stable));
        }
        *share = Share::of(finding, finding.cause.clone(), seen.kind);
        if let Some(own) = known.edit().services.get_mut(&*seen.service) {
            own.cause.clone_from(&finding.cause);
            own.summary.clone_from(&finding.summary);
        }
        let incident = &known.incident;
        let held = |a: &Affected| a.until.is_none() && a.cause == incident.cause;
        if !incident.services.values().any(held) {
            known.rename(finding, seen.at, now);
            if !others {
                known.edit().places = places(seen, finding);
            }
        }
        known.say(if worse { Weight::AtOnce } else { Weight::Update }, now, out);
        true
    }

    /// A confirmed root comes into an incident.
    pub(super) fn enter(
        &mut self,
        case: &mut Case,
        seen: &Seen,
        finding: &Finding,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        let places = places(seen, finding);
        let id = match self
            .coming_back(&seen.service, finding)
            .or_else(|| self.sharing(&seen.service, finding, &places))
        {
            Some(id) => {
                self.join(&id, seen, finding, &places, now, out);
                id
            }
            None => self.begin(seen, finding, places, now, out),
        };
        case.shares.insert(id, Share::of(finding, finding.cause.clone(), seen.kind));
    }

    /// The incident that this root of this service had within [`Incidents::SAME`]: closed, or gone on with for others.
    fn coming_back(&self, service: &str, finding: &Finding) -> Option<String> {
        let had = |incident: &Incident| {
            let own = incident.services.get(service).is_some_and(|own| own.until.is_some());
            own && (incident.cause == finding.cause
                || incident.causes.iter().any(|named| named.cause == finding.cause))
        };
        let had = self.known.values().map(|known| &known.incident).filter(|incident| had(incident));
        had.max_by_key(|i| (i.is_open(), i.cause == finding.cause, i.updated_at)).map(|i| i.id.clone())
    }

    /// The open incident of other services that have this root, and share a place with this one.
    fn sharing(&self, service: &str, finding: &Finding, places: &[String]) -> Option<String> {
        let shares = |incident: &Incident| {
            incident.cause == finding.cause
                && incident.is_open()
                && incident.services.get(service).is_none_or(|own| own.until.is_some())
                && incident.services.len() < Incident::SERVICES
                && incident.places.iter().any(|place| places.contains(place))
        };
        let sharing = self.known.values().map(|known| &known.incident).filter(|incident| shares(incident));
        sharing.max_by_key(|i| i.updated_at).map(|i| i.id.clone())
    }

    /// The service joins an incident, which comes back with it where it was over.
    fn join(
        &mut self,
        id: &str,
        seen: &Seen,
        finding: &Finding,
        places: &[String],
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        let stable = ms(self.stable);
        let Some(known) = self.known.get_mut(id) else { return };
        let was_over = !known.incident.is_open();
        let was_in = known.incident.services.contains_key(&*seen.service);
        if was_over || was_in {
            known.flapped(seen.at, stable);
        }
        let incident = known.edit();
        if was_over {
            (incident.closed_at, incident.proof, incident.back_at) = (None, None, Some(seen.at));
        }
        let own = Affected {
            since: incident.services.get(&*seen.service).map_or(seen.at, |own| own.since),
            until: None,
            summary: finding.summary.clone(),
            cause: finding.cause.clone(),
        };
        incident.services.insert(seen.service.to_string(), own);
        incident.severity = incident.severity.max(finding.severity);
        let common: Vec<String> = incident.places.iter().filter(|p| places.contains(p)).cloned().collect();
        if incident.services.len() > 1 && !common.is_empty() {
            incident.shared = common.first().cloned();
            incident.places = common;
        }
        let held = |a: &Affected| a.until.is_none() && a.cause == incident.cause;
        if !incident.services.values().any(held) {
            known.rename(finding, seen.at, now);
        }
        known.say(if was_over { Weight::AtOnce } else { Weight::Update }, now, out);
    }

    /// A new incident.
    fn begin(
        &mut self,
        seen: &Seen,
        finding: &Finding,
        places: Vec<String>,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) -> String {
        let id = self.free_id(seen.at, &seen.service, &finding.cause);
        let own = Affected {
            since: seen.at,
            until: None,
            summary: finding.summary.clone(),
            cause: finding.cause.clone(),
        };
        let incident = Incident {
            schema: Incident::SCHEMA.to_owned(),
            id: id.clone(),
            cause: finding.cause.clone(),
            causes: vec![named(finding, seen.at)],
            room: finding.room,
            severity: finding.severity,
            confidence: finding.confidence,
            summary: finding.summary.clone(),
            service: seen.service.to_string(),
            services: BTreeMap::from([(seen.service.to_string(), own)]),
            shared: None,
            places,
            opened_at: seen.at,
            back_at: None,
            updated_at: now,
            closed_at: None,
            proof: None,
            flaps: 0,
            evidence: finding.evidence.iter().take(Incident::FACTS).cloned().collect(),
            remedies: finding.remedies.clone(),
            actions: Vec::new(),
            held: None,
            failed_fixes: 0,
            escalated: false,
            report: Some(Box::new((*seen.report).clone())),
        };
        let mut known = Known::new(incident, now);
        known.told(Change::Opened, now, out);
        self.known.insert(id.clone(), known);
        id
    }

    /// `20261126T031209-renderflow-5c1e`: the end tells it from others of that second, of another root, another watcher or a
    /// process before this one, which are not all known here.
    fn free_id(&self, at: Timestamp, service: &str, cause: &str) -> String {
        let time: String =
            at.to_string().chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = service.chars().take(40).map(plain).collect();
        let id = |n: u32| {
            let mut hasher = DefaultHasher::new();
            (at.0, service, cause, n).hash(&mut hasher);
            format!("{time}-{name}-{:04x}", hasher.finish() & 0xffff)
        };
        (0..).map(id).find(|id| !self.known.contains_key(id)).unwrap_or_else(|| id(0))
    }
}

impl Share {
    /// What a restored incident says of one of its services.
    pub(super) fn kept(incident: &Incident, own: &Affected) -> Self {
        let cause = if own.cause.is_empty() { &incident.cause } else { &own.cause };
        Self {
            cause: cause.clone(),
            room: incident.room,
            severity: incident.severity,
            by: Kind::Walk,
            well_since: None,
            other: None,
            asked: false,
        }
    }
}
