//! One look, folded into what is known: what was found again, what is gone, what is new. Pure.

use super::case::{Case, Says, Share, says};
use super::known::{Weight, alike, ms};
use super::{Incidents, Verdict};
use crate::incident::Change;
use crate::seen::{Kind, Seen};
use pgmedic_model::{Finding, Severity, Timestamp};
use std::sync::Arc;

impl Incidents {
    /// The incidents that hold for the service: their roots are found again, or gone, and those that were gone for long
    /// enough are over.
    pub(super) fn found_again(
        &mut self,
        case: &mut Case,
        seen: &Seen,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        let mut over = Vec::new();
        let stable = ms(self.stable);
        for (id, share) in &mut case.shares {
            let Some(known) = self.known.get_mut(id) else { continue };
            if let Some(finding) = seen.report.roots().find(|f| f.cause == share.cause) {
                if !seen.saw(finding) {
                    continue;
                }
                if share.well_since.take().is_some() && known.flapped(seen.at, stable) {
                    known.say(Weight::Update, now, out);
                }
                share.found(finding, seen.kind);
                self.ill(id, seen, finding, now, out);
                continue;
            }
            match says(seen, share) {
                Says::Gone => {
                    share.well_since.get_or_insert(seen.at);
                }
                Says::Unproved => share.well_since = None,
                // What looks see is gone: a walk is to prove it, sooner than its turn.
                Says::Nothing if seen.is_well() && share.by == Kind::Look && !share.asked => {
                    share.asked = true;
                    out.push(Verdict::Confirm(Arc::clone(&seen.service)));
                }
                Says::Nothing => {}
            }
            let hold = known.hold(self.stable, Self::HOLD);
            let since = share.well_since.filter(|since| seen.at.0 - since.0 >= hold);
            let well = seen.kind == Kind::Walk || seen.is_well();
            over.extend(since.filter(|_| well).map(|since| (id.clone(), since)));
        }
        for (id, since) in over {
            case.shares.remove(&id);
            let why =
                format!("a walk by the door found it gone at {since}, and it stayed so until {}", seen.at);
            self.leave(&id, &seen.service, why, now, out);
        }
    }

    /// Its root was found for this service.
    fn ill(&mut self, id: &str, seen: &Seen, finding: &Finding, now: Timestamp, out: &mut Vec<Verdict>) {
        let Some(known) = self.known.get_mut(id) else { return };
        let incident = &known.incident;
        let own = incident.services.get(&*seen.service);
        if own.is_some_and(|own| !alike(&own.summary, &finding.summary)) {
            if let Some(own) = known.edit().services.get_mut(&*seen.service) {
                own.summary.clone_from(&finding.summary);
            }
            known.owe();
        }
        // One of many speaks for all of them: the one that it was opened for, while it is ill.
        let incident = &known.incident;
        let leads = incident.services.get(&incident.service).is_none_or(|lead| lead.until.is_some());
        if finding.cause == incident.cause && (leads || *incident.service == *seen.service) {
            known.found(&seen.report, finding, now, out);
        }
        known.say_what_is_owed(now, out);
    }

    /// A service's share of an incident is over; with the last one the incident is.
    pub(super) fn leave(
        &mut self,
        id: &str,
        service: &str,
        why: String,
        now: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        let Some(known) = self.known.get_mut(id) else { return };
        let incident = known.edit();
        if let Some(own) = incident.services.get_mut(service) {
            own.until = Some(now);
        }
        if incident.services.values().any(|affected| affected.until.is_none()) {
            known.say(Weight::Update, now, out);
            return;
        }
        incident.closed_at = Some(now);
        incident.proof = Some(why);
        incident.held = None;
        known.told(Change::Closed, now, out);
    }

    /// Critical roots that no incident holds yet.
    pub(super) fn criticals(&mut self, case: &mut Case, seen: &Seen, now: Timestamp, out: &mut Vec<Verdict>) {
        let roots = seen.report.roots().filter(|f| f.severity == Severity::Critical && seen.saw(f));
        let fresh: Vec<&Finding> = roots.filter(|f| !case.has(&f.cause)).collect();
        let mut unknown = Vec::new();
        for finding in fresh {
            let displaced = self.displaced(case, seen, finding);
            let critical =
                |id: &String| case.shares.get(id).is_some_and(|s| s.severity == Severity::Critical);
            match displaced.filter(critical) {
                Some(id) if self.follows(case, &id, seen, finding, now, out) => {}
                _ => unknown.push(finding),
            }
        }
        if unknown.is_empty() {
            return;
        }
        if !case.doubts.critical(seen, &unknown) {
            out.push(Verdict::Confirm(Arc::clone(&seen.service)));
            return;
        }
        for finding in unknown {
            match self.displaced(case, seen, finding) {
                Some(id) if self.follows(case, &id, seen, finding, now, out) => {}
                _ => self.enter(case, seen, finding, now, out),
            }
        }
    }

    /// Warnings that no incident holds yet. While something is critical nobody is told of them.
    pub(super) fn warnings(&mut self, case: &mut Case, seen: &Seen, now: Timestamp, out: &mut Vec<Verdict>) {
        let mut roots = seen.report.roots();
        if roots.any(|f| f.severity == Severity::Critical) {
            return;
        }
        let told =
            |f: &&Finding| seen.saw(f) && !case.has(&f.cause) && !self.in_the_wake(&seen.service, f, now);
        let fresh: Vec<&Finding> = seen.report.roots().filter(told).collect();
        for finding in case.doubts.warnings(seen, &fresh) {
            match self.displaced(case, seen, finding) {
                Some(id) if self.follows(case, &id, seen, finding, now, out) => {}
                _ => self.enter(case, seen, finding, now, out),
            }
        }
    }

    /// Something critical of the same room is open, or was until lately: what is left of it is no incident of its own.
    fn in_the_wake(&self, service: &str, finding: &Finding, now: Timestamp) -> bool {
        let wake = ms(Self::WAKE);
        self.known.values().map(|known| &known.incident).any(|i| {
            let own = i.services.get(service);
            let lately = own.is_some_and(|own| own.until.is_none_or(|until| now.0 - until.0 < wake));
            lately && i.severity == Severity::Critical && i.room == finding.room
        })
    }

    fn displaced(&self, case: &Case, seen: &Seen, finding: &Finding) -> Option<String> {
        let was_named = |id: &str| {
            let known = self.known.get(id);
            known.is_some_and(|k| k.incident.causes.iter().any(|named| named.cause == finding.cause))
        };
        case.displaced(seen, finding, was_named)
    }
}

impl Share {
    /// Its root was found.
    fn found(&mut self, finding: &Finding, by: Kind) {
        self.severity = finding.severity;
        (self.asked, self.other) = (false, None);
        // What a look has seen once, looks can see.
        if by == Kind::Look {
            self.by = by;
        }
    }
}
