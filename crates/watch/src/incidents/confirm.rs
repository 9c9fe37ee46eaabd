//! When what was seen is confirmed: not by one lost packet, and not so late that an alert is late. Pure.
//!
//! A critical root that was seen once asks for a walk from outside at once, and is confirmed by the second sighting: of the
//! same root, or by a walk that found any critical one (the service is ill either way; the newer name is given). What cannot
//! be one lost packet needs no second: a walk that waited for over a second in vain (TCP has sent again after 1 s, RFC 6298
//! section 2; a question to a nameserver is sent twice), and a door that refuses after the standing session was told
//! 57P01 or 57P02, or was hung up on. A fault that comes and goes faster than it can be confirmed is confirmed by the third time in a minute.
//! A warning is confirmed by three looks in a row. What a look only carries on from the last walk is no sighting.

use super::shifted::moved;
use crate::seen::{Kind, Seen};
use pgmedic_model::{Finding, Ms, ServerError, SqlState, Status, Timestamp};
use pgmedic_path::Evidence;
use pgmedic_path::evidence::{QueryOutcome, RouteEvidence};
use pgmedic_path::rooms::dns::evidence::SystemOutcome;
use pgmedic_path::rooms::network::evidence::ConnectOutcome;
use pgmedic_path::rooms::proxy::evidence::FirstBytes;
use pgmedic_path::rooms::startup::evidence::StartupOutcome;
use std::collections::BTreeMap;

/// What was seen once is forgotten after this, in ms.
const FORGOTTEN: i64 = 60_000;
/// A session that was told of the end and a door that refuses belong together within this, in ms.
const TOLD: i64 = 10_000;
/// A walk that waited for longer than this in vain has had its packets sent again, in ms.
const WAITED: f64 = 1000.0;
/// A fault that was seen so often within [`FORGOTTEN`] is none of one packet.
const OFTEN: usize = 3;
/// A warning is confirmed by so many looks in a row.
const IN_A_ROW: u32 = 3;

/// What was seen of a service and is not confirmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts {
    odd: Option<Odd>,
    /// When a critical root was seen that the next walk did not confirm, at most [`OFTEN`].
    times: Vec<Timestamp>,
    /// When the standing session was told of its end.
    told: Option<Timestamp>,
    /// Warnings by cause.
    warned: BTreeMap<String, (Kind, u32)>,
}

/// A critical root that was seen once.
#[derive(Clone, Debug)]
struct Odd {
    at: Timestamp,
    kind: Kind,
    causes: Vec<String>,
}

impl Doubts {
    /// Takes note of what every look may tell, before its roots are judged.
    pub(super) fn note(&mut self, seen: &Seen) {
        if was_told(seen) {
            self.told = Some(seen.at);
        }
        if seen.kind == Kind::Walk && seen.is_well() {
            self.odd = None;
            self.told = None;
        }
    }

    /// True where these critical roots are confirmed with this sighting. False asks for a walk.
    pub(super) fn critical(&mut self, seen: &Seen, fresh: &[&Finding]) -> bool {
        let walked = seen.kind == Kind::Walk;
        let ended = self.told.is_some_and(|at| seen.at.0 - at.0 <= TOLD);
        let conclusive =
            walked && (waited_in_vain(&seen.evidence) || (ended && refuses(&seen.evidence.front)));
        let again = self.odd.as_ref().is_some_and(|odd| {
            let other = (odd.at, odd.kind) != (seen.at, seen.kind);
            let same = fresh.iter().any(|f| odd.causes.contains(&f.cause));
            other && seen.at.0 - odd.at.0 <= FORGOTTEN && (walked || same)
        });
        self.times.retain(|at| seen.at.0 - at.0 <= FORGOTTEN);
        if conclusive || again || self.times.len() + 1 >= OFTEN {
            self.odd = None;
            self.times.clear();
            return true;
        }
        self.times.push(seen.at);
        let causes = fresh.iter().map(|f| f.cause.clone()).collect();
        self.odd = Some(Odd { at: seen.at, kind: seen.kind, causes });
        false
    }

    /// Counts warnings; gives back those that are confirmed with this sighting. What this kind of look did not find the last
    /// time is counted anew; what only the other kind sees goes on.
    pub(super) fn warnings<'a>(&mut self, seen: &Seen, fresh: &[&'a Finding]) -> Vec<&'a Finding> {
        if seen.report.status == Status::Unknown {
            return Vec::new();
        }
        let here = |cause: &str| fresh.iter().any(|f| f.cause == cause);
        self.warned.retain(|cause, (kind, _)| here(cause) || (*kind != seen.kind && seen.kind == Kind::Look));
        let mut confirmed = Vec::new();
        for finding in fresh {
            let (kind, count) = self.warned.entry(finding.cause.clone()).or_insert((seen.kind, 0));
            // What a look can see too is counted by looks: a walk that saw it first must not slow it down.
            *kind = if seen.kind == Kind::Look { Kind::Look } else { *kind };
            *count += 1;
            if *count >= IN_A_ROW {
                confirmed.push(*finding);
            }
        }
        self.warned.retain(|_, (_, count)| *count < IN_A_ROW);
        confirmed
    }

    /// Nothing is in doubt: it need not be kept.
    pub(super) fn is_empty(&self) -> bool {
        self.odd.is_none() && self.times.is_empty() && self.told.is_none() && self.warned.is_empty()
    }

    /// The clock was set by so much.
    pub(super) fn shift(&mut self, by: Ms) {
        moved(&mut self.told, by);
        self.times.iter_mut().for_each(|at| *at = at.plus(by));
        if let Some(odd) = &mut self.odd {
            odd.at = odd.at.plus(by);
        }
    }

    /// Forgets what is long ago.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.times.retain(|at| now.0 - at.0 <= FORGOTTEN);
        self.odd.take_if(|odd| now.0 - odd.at.0 > FORGOTTEN);
        self.told.take_if(|at| now.0 - at.0 > TOLD);
    }
}

/// A session was told that its server ends (57P01 or 57P02, in a notice or as its last word), or the peer of the standing one
/// hung up. What a look has of the front is the last walk's.
fn was_told(seen: &Seen) -> bool {
    let ends = |error: &ServerError| error.is(SqlState::ADMIN_SHUTDOWN) || error.is(SqlState::CRASH_SHUTDOWN);
    let now = |way| seen.kind == Kind::Walk || way == "standing";
    seen.evidence.routes().filter(|(way, _)| now(*way)).any(|(way, route)| {
        let Some(query) = &route.query else { return false };
        let last = match &query.outcome {
            QueryOutcome::Error(error) => Some(error),
            QueryOutcome::Closed if way == "standing" => return true,
            _ => None,
        };
        query.notices.iter().chain(&query.refused).chain(last).any(ends)
    })
}

/// The door says no at once: nobody listens, or the server refuses, or hangs up.
fn refuses(front: &RouteEvidence) -> bool {
    let refused = [ConnectOutcome::Refused, ConnectOutcome::Reset, ConnectOutcome::NoSuchSocket];
    let attempts = front.network.iter().flat_map(|network| &network.attempts);
    let shut = || {
        let mut attempts = attempts.peekable();
        attempts.peek().is_some() && attempts.all(|attempt| refused.contains(&attempt.outcome))
    };
    let hung_up = front.proxy.as_ref().is_some_and(|proxy| {
        matches!(proxy.first, FirstBytes::Closed | FirstBytes::Reset | FirstBytes::Error(_))
    });
    let ended = front.startup.as_ref().is_some_and(|startup| {
        matches!(startup.outcome, StartupOutcome::Error(_) | StartupOutcome::Closed | StartupOutcome::Reset)
    });
    hung_up || ended || shut()
}

/// The way in ended in silence that lasted for over a second.
fn waited_in_vain(e: &Evidence) -> bool {
    let front = &e.front;
    if let Some(query) = &front.query {
        // Where another connection was answered meanwhile, one answer was lost, or we came too late for it.
        let other = query.aftermath.as_ref().is_some_and(|after| after.small);
        return query.outcome == QueryOutcome::Silent && query.elapsed_ms.0 >= WAITED && !other;
    }
    if let Some(startup) = &front.startup {
        let silent = matches!(startup.outcome, StartupOutcome::Silent { .. });
        return silent && startup.elapsed_ms.0 >= WAITED;
    }
    if let Some(proxy) = &front.proxy {
        return proxy.first == FirstBytes::Silent && proxy.elapsed_ms.0 >= WAITED;
    }
    if let Some(network) = &front.network {
        let silent = |outcome| outcome == ConnectOutcome::Silent;
        return !network.attempts.is_empty()
            && network.attempts.iter().all(|a| silent(a.outcome) && a.elapsed_ms.0 >= WAITED);
    }
    let failed = |outcome: &SystemOutcome| !matches!(outcome, SystemOutcome::Resolved(_));
    front.dns.system.as_ref().is_some_and(|s| failed(&s.outcome) && s.elapsed_ms.0 >= WAITED)
}
