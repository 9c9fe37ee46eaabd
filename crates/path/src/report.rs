//! Evidence and findings on one page: the ten rooms with a line each, the verdict, and what could not be seen. Pure.

use crate::evidence::{Evidence, QueryOutcome, RouteEvidence, Seen};
use crate::plan::marked;
use crate::rooms::app::readiness;
use crate::unrecognised::{Break, break_of};
use pgmedic_model::{Finding, Ms, Report, Room, RoomReport, RoomStatus, Severity, Status};

mod said;

/// The report of a walk.
#[must_use]
pub fn report(e: &Evidence, findings: Vec<Finding>) -> Report {
    let findings = marked(e, findings);
    let broken = break_of(&e.front);
    let path = Room::ALL.into_iter().map(|room| room_report(e, room, broken.as_ref(), &findings)).collect();
    let direct = e.direct.get().map(|route| direct_path(route, &findings)).unwrap_or_default();
    let status = verdict(e, &findings);
    Report {
        schema: Report::SCHEMA.to_owned(),
        service: e.service.clone(),
        target: e.target.url.clone(),
        started_at: e.started_at,
        elapsed_ms: e.elapsed_ms,
        status,
        path,
        direct,
        findings,
        unseen: unseen(e),
    }
}

/// The worst severity found. Without any, a walk whose query answered is ok; one that saw too little is unknown.
fn verdict(e: &Evidence, findings: &[Finding]) -> Status {
    match Report::verdict(findings) {
        Status::Ok if break_of(&e.front).is_some() => Status::Unknown,
        status => status,
    }
}

/// One room of the front, with the side windows that show it.
fn room_report(e: &Evidence, room: Room, broken: Option<&Break>, findings: &[Finding]) -> RoomReport {
    let (seen, elapsed_ms, summary) = said::room(e, room);
    let found = worst(findings, room);
    let status = match (found, seen) {
        (Some(Severity::Critical), _) => RoomStatus::Failed,
        (Some(Severity::Warning), _) => RoomStatus::Warning,
        (None, seen) => stage_status(room, seen, broken, findings),
    };
    let summary = match (status, first_summary(findings, room)) {
        (RoomStatus::Failed | RoomStatus::Warning, Some(summary)) if !seen || room > Room::Startup => summary,
        // The way in passed here, and the fault was seen from the side: the stage's own line would contradict it.
        (RoomStatus::Failed, Some(summary)) if room > Room::App && broken.is_none_or(|b| b.room != room) => {
            summary
        }
        (RoomStatus::NotReached, _) if !seen => "not reached".to_owned(),
        _ => summary,
    };
    RoomReport { room, status, elapsed_ms, summary }
}

/// The status of a room without a finding: by where the way in broke.
fn stage_status(room: Room, seen: bool, broken: Option<&Break>, findings: &[Finding]) -> RoomStatus {
    match broken {
        _ if room == Room::App => {
            if seen {
                RoomStatus::Ok
            } else {
                RoomStatus::NotSeen
            }
        }
        // The question stayed unanswered for a reason that stands in another room; asked elsewhere, this one is well.
        Some(b) if room == b.room && room >= Room::Admission && accounted_for(findings) => {
            if seen {
                RoomStatus::Ok
            } else {
                RoomStatus::NotReached
            }
        }
        Some(b) if room == b.room => {
            // A refusal in the startup that a later room accounts for did not fail here: the login was turned away
            // for another room's reason.
            let later = findings.iter().any(|f| f.room > room && f.severity == Severity::Critical);
            if later && room == Room::Startup { RoomStatus::NotReached } else { RoomStatus::Failed }
        }
        Some(b) if room > b.room => {
            if seen && room >= Room::Admission {
                RoomStatus::Ok
            } else {
                RoomStatus::NotReached
            }
        }
        _ if seen => RoomStatus::Ok,
        _ => RoomStatus::NotSeen,
    }
}

/// Some room on the way has a critical finding.
fn accounted_for(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.room > Room::App && f.severity == Severity::Critical)
}

/// The rooms of the way around the proxy, from dns to startup.
fn direct_path(route: &RouteEvidence, findings: &[Finding]) -> Vec<RoomReport> {
    let broken = break_of(route);
    let rooms = [Room::Dns, Room::Network, Room::Proxy, Room::Tls, Room::Startup];
    rooms
        .into_iter()
        .map(|room| {
            let (seen, elapsed_ms, summary) = said::way_in(route, room);
            let status = match &broken {
                Some(b) if b.room == room => stage_status(room, seen, Some(b), findings),
                Some(b) if room > b.room => RoomStatus::NotReached,
                _ => RoomStatus::Ok,
            };
            let summary =
                if status == RoomStatus::NotReached && !seen { "not reached".to_owned() } else { summary };
            RoomReport { room, status, elapsed_ms, summary }
        })
        .collect()
}

/// The worst severity of a room's findings.
fn worst(findings: &[Finding], room: Room) -> Option<Severity> {
    findings.iter().filter(|f| f.room == room).map(|f| f.severity).max()
}

/// The summary of a room's first finding (they are sorted: the root first).
fn first_summary(findings: &[Finding], room: Room) -> Option<String> {
    findings.iter().find(|f| f.room == room).map(|f| f.summary.clone())
}

/// What could not be seen, and what would let pgmedic see it.
pub(crate) fn unseen(e: &Evidence) -> Vec<String> {
    let mut list = Vec::new();
    let mut add = |what: &str, reason: Option<&String>| {
        if let Some(reason) = reason {
            list.push(format!("{what}: {reason}"));
        }
    };
    add("readiness", reason(&e.app.ready));
    add("API metrics", reason(&e.app.metrics));
    if readiness::log(e).is_none() {
        add("API log", reason(&e.app.log));
    }
    add("way around the proxy", reason(&e.direct));
    add("pooler console", reason(&e.pooler));
    add("host window", reason(&e.host));
    match &e.platform {
        Seen::NotSeen(why) => add("platform", Some(why)),
        Seen::Seen(told) => {
            add("platform, the API's instances", reason(&told.api));
            add("platform, the database's instances", reason(&told.db));
            add("platform, volumes", reason(&told.volumes));
            add("platform, the API's log", reason(&told.api_log));
            add("platform, the database's log", reason(&told.db_log));
        }
    }
    if let (Some(QueryOutcome::Alive(why)), None) = (e.front.query.as_ref().map(|q| &q.outcome), e.facts()) {
        add("the server's own account", Some(why));
    }
    if e.front.refusal().is_some() && e.facts().is_none() {
        add("rescue", reason(&e.rescue));
    }
    if let Some(host) = e.host.get() {
        list.extend(host.blind.iter().map(|b| format!("host window: {b}")));
    }
    if let Some(pooler) = e.pooler.get() {
        list.extend(pooler.failure.iter().map(|f| format!("pooler console: {f}")));
    }
    if let Some(facts) = e.facts().filter(|f| !f.me.sees_all) {
        let hint = format!("grant pg_monitor to {}", said::identifier(&facts.me.role));
        list.push(format!("other roles' sessions: role {} may not read them; {hint}", facts.me.role));
    }
    list
}

fn reason<T>(seen: &Seen<T>) -> Option<&String> {
    match seen {
        Seen::Seen(_) => None,
        Seen::NotSeen(reason) => Some(reason),
    }
}

/// Nothing was spent in a room that was not entered.
const NO_TIME: Ms = Ms(0.0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose;
    use crate::evidence::fixture::{first_bytes, healthy, refused};
    use crate::rooms::proxy::evidence::FirstBytes;

    fn of(e: &Evidence) -> Report {
        report(e, diagnose(e))
    }

    fn statuses(report: &Report) -> Vec<&'static str> {
        report.path.iter().map(|r| r.status.as_str()).collect()
    }

    #[test]
    fn a_healthy_walk_is_ok_in_every_room_that_it_can_see() {
        let report = of(&healthy());
        assert_eq!(report.status, Status::Ok);
        let seen = ["not-seen", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"];
        assert_eq!(statuses(&report)[..9], seen);
    }

    #[test]
    fn a_question_that_a_full_pool_leaves_unanswered_does_not_fail_the_server() {
        let mut e = healthy();
        let answered = e.front.clone();
        e.front.query.as_mut().unwrap().outcome = crate::evidence::QueryOutcome::Silent;
        e.direct = Seen::Seen(answered);
        let pool = crate::rooms::proxy::evidence::PoolRow {
            database: "renderflow".into(),
            user: "app".into(),
            cl_waiting: 6,
            sv_active: 4,
            maxwait_s: 2.0,
            ..Default::default()
        };
        e.pooler = Seen::Seen(crate::rooms::proxy::evidence::PoolerEvidence {
            pools: vec![pool],
            ..Default::default()
        });
        let report = of(&e);
        assert_eq!(report.findings[0].cause, "pooler-pool-exhausted");
        assert_eq!((report.path[3].status, report.path[7].status), (RoomStatus::Failed, RoomStatus::Ok));
        assert_eq!(report.path[3].summary, report.findings[0].summary);
    }

    #[test]
    fn the_rooms_behind_the_break_are_not_reached() {
        let report = of(&first_bytes(FirstBytes::Closed));
        assert_eq!(report.status, Status::Critical);
        assert_eq!(statuses(&report)[1..5], ["ok", "ok", "failed", "not-reached"]);
        assert!(report.path.iter().skip(4).all(|r| r.status == RoomStatus::NotReached));
    }

    #[test]
    fn a_refusal_for_another_rooms_reason_does_not_fail_the_startup() {
        let report = of(&refused("58P01", "could not access file \"nolib\""));
        assert_eq!(report.path[5].status, RoomStatus::Failed);
    }
}
