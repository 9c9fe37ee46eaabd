//! Reports for the tests of this folder.

use pgmedic_model::{
    Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Report, Role, Room, RoomReport, RoomStatus,
    Severity, Source, Status, Timestamp,
};

const AT: Timestamp = Timestamp(1_795_403_529_000);

fn rooms(found: &[(RoomStatus, f64, &str)]) -> Vec<RoomReport> {
    Room::ALL.into_iter().zip(found).map(|(room, found)| one(room, *found)).collect()
}

fn one(room: Room, (status, ms, summary): (RoomStatus, f64, &str)) -> RoomReport {
    RoomReport { room, status, elapsed_ms: Ms(ms), summary: summary.to_owned() }
}

fn report(status: Status, ms: f64, path: Vec<RoomReport>, findings: Vec<Finding>) -> Report {
    Report {
        schema: Report::SCHEMA.to_owned(),
        service: "shop".to_owned(),
        target: "postgres://app@db:5432/shop".to_owned(),
        started_at: AT,
        elapsed_ms: Ms(ms),
        status,
        path,
        direct: Vec::new(),
        findings,
        unseen: vec!["host: the target is on another host".to_owned()],
    }
}

pub(crate) fn slots_exhausted() -> Report {
    use RoomStatus::{Failed, NotReached, Ok};
    let path = rooms(&[
        (Failed, 3.1, "503, db: disconnected"),
        (Ok, 0.4, "1 address"),
        (Ok, 0.1, "10.0.0.1:5432 connected"),
        (Ok, 0.2, "TLS offered"),
        (Ok, 2.0, "TLSv1.3"),
        (Ok, 1.0, "scram-sha-256"),
        (Failed, 1.0, "97 of 97 ordinary slots taken"),
        (NotReached, 0.0, "not reached"),
        (NotReached, 0.0, "not reached"),
        (NotReached, 0.0, "not reached"),
    ]);
    let refused = "FATAL 53300: sorry, too many clients already";
    let mut root = Finding::new(
        "slots-exhausted",
        Room::Admission,
        Severity::Critical,
        Confidence::Certain,
        "97 of 97 ordinary slots taken; 91 by shop-api, idle over 10 min",
        Fact::new(Source::Sql, AT, "pg_stat_activity", "91 sessions of shop-api are idle").value(91),
    )
    .and(Fact::new(Source::Startup, AT, "10.0.0.1:5432", refused))
    .or_else("role-limit-reached", "a login as another role")
    .mended_by(RemedyPlan::by_hand(
        "terminate-idle-sessions",
        RemedyKind::Sessions,
        "end the 20 longest idle sessions of shop-api",
        "psql -c \"select pg_terminate_backend(1)\"",
    ));
    root.explains.push("readiness-failing".to_owned());
    let mut symptom = Finding::new(
        "readiness-failing",
        Room::App,
        Severity::Critical,
        Confidence::Certain,
        "/api/v1/ready says 503",
        Fact::new(Source::Http, AT, "http://api/api/v1/ready", "503, db: disconnected").value(503),
    );
    symptom.role = Role::Symptom;
    report(Status::Critical, 14.2, path, vec![root, symptom])
}

pub(crate) fn proxy_hung() -> Report {
    use RoomStatus::{Failed, NotReached, NotSeen, Ok};
    let not_reached = (NotReached, 0.0, "not reached");
    let way_in = [(Ok, 0.4, "1 address"), (Ok, 0.1, "connected")];
    let mut found = vec![(NotSeen, 0.0, "nothing configured")];
    found.extend(way_in);
    found.push((Failed, 3000.0, "silent"));
    found.extend([not_reached; 6]);
    let direct = [(Ok, 0.2, "TLS offered"), (Ok, 2.0, "TLSv1.3"), (Ok, 1.0, "scram-sha-256")];
    let root = Finding::new(
        "proxy-hung",
        Room::Proxy,
        Severity::Critical,
        Confidence::Likely,
        "the proxy takes connections and says nothing; around it the server answers",
        Fact::new(Source::Bytes, AT, "10.0.0.1:5432", "no byte came in 3.0 s"),
    );
    let path = rooms(&found);
    let direct =
        Room::ALL[1..6].iter().zip(way_in.into_iter().chain(direct)).map(|(r, f)| one(*r, f)).collect();
    Report { direct, ..report(Status::Critical, 3010.0, path, vec![root]) }
}

pub(crate) fn healthy() -> Report {
    let path = rooms(&[(RoomStatus::Ok, 0.4, "well"); 10]);
    report(Status::Ok, 9.0, path, Vec::new())
}

/// Every text is what an enemy would send.
pub(crate) fn hostile() -> Report {
    let evil = "\u{1b}[2J\u{9b}31m\r\n# pwned | <script>`x`\u{202e}\u{200b} ```";
    let mut report = slots_exhausted();
    report.service = evil.to_owned();
    report.target = evil.to_owned();
    report.unseen = vec![evil.to_owned(); 9];
    for room in &mut report.path {
        room.summary = evil.to_owned();
    }
    for finding in &mut report.findings {
        finding.summary = evil.to_owned();
        for fact in &mut finding.evidence {
            fact.place = evil.to_owned();
            fact.fact = evil.to_owned();
        }
        for remedy in &mut finding.remedies {
            remedy.plan = evil.to_owned();
            remedy.command = format!("psql {evil}");
        }
        for other in &mut finding.alternatives {
            other.decided_by = evil.to_owned();
        }
    }
    report
}

pub(crate) fn all() -> [Report; 4] {
    [slots_exhausted(), proxy_hung(), healthy(), hostile()]
}
