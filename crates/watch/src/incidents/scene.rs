//! Looks for tests: what a schedule would tell of a service, with the roots that a test gives it.

use crate::seen::{Kind, Seen};
use pgmedic_model::{
    Confidence, Fact, Finding, Ms, Policy, Report, Role, Room, RoomReport, RoomStatus, Severity, Source,
    SslMode, Status, Timestamp,
};
use pgmedic_path::Evidence;
use pgmedic_path::evidence::{RouteEvidence, Seen as Shown, TargetView};
use pgmedic_path::rooms::app::evidence::AppEvidence;
use pgmedic_path::rooms::dns::evidence::{DnsEvidence, Subject};
use pgmedic_path::rooms::network::evidence::{Attempt, ConnectOutcome, NetworkEvidence};
use std::sync::Arc;

/// 2026-11-26T03:12:09Z.
pub(crate) const START: Timestamp = Timestamp(1_795_662_729_000);

/// `START` and so many ms.
pub(crate) const fn at(ms: i64) -> Timestamp {
    Timestamp(START.0 + ms)
}

/// A root.
pub(crate) fn root(cause: &str, room: Room, severity: Severity) -> Finding {
    let proof = Fact::new(Source::Sql, START, "pg_stat_activity", "97 sessions");
    let summary = format!("{cause} it is, 97 of 97");
    Finding::new(cause, room, severity, Confidence::Certain, summary, proof)
}

/// A critical one.
pub(crate) fn critical(cause: &str, room: Room) -> Finding {
    root(cause, room, Severity::Critical)
}

/// One look, in the making.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) service: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) findings: Vec<Finding>,
    pub(crate) unknown: bool,
    /// What is found is carried on from an earlier walk.
    pub(crate) carried_on: bool,
    /// The server's address and port.
    pub(crate) server: String,
    pub(crate) connect: ConnectOutcome,
    pub(crate) waited_ms: f64,
    pub(crate) change: Option<fn(&mut Evidence)>,
}

impl Scene {
    /// A walk that finds all well. Each service has a server of its own.
    pub(crate) fn walk(service: &str) -> Self {
        let number = service.bytes().fold(0u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(b)));
        Self {
            service: Arc::from(service),
            kind: Kind::Walk,
            findings: Vec::new(),
            unknown: false,
            carried_on: false,
            server: format!("10.{}.{}.{}:5432", number >> 16 & 255, number >> 8 & 255, number & 255),
            connect: ConnectOutcome::Connected,
            waited_ms: 0.3,
            change: None,
        }
    }

    /// The same through the standing session.
    pub(crate) fn look(service: &str) -> Self {
        Self { kind: Kind::Look, ..Self::walk(service) }
    }

    /// With this found.
    pub(crate) fn finds(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// With the server there.
    pub(crate) fn at_server(mut self, address: &str) -> Self {
        self.server = address.to_owned();
        self
    }

    /// Told at that time.
    pub(crate) fn seen(&self, at: Timestamp) -> Seen {
        let mut evidence = evidence(self, at);
        if let Some(change) = self.change {
            change(&mut evidence);
        }
        Seen {
            service: Arc::clone(&self.service),
            at,
            kind: self.kind,
            lag: Ms(0.0),
            report: Arc::new(report(self, at)),
            evidence: Arc::new(evidence),
        }
    }
}

/// Rooms before the first critical finding are passed, those behind it not reached; without one all are seen.
fn report(scene: &Scene, at: Timestamp) -> Report {
    let roots = || scene.findings.iter().filter(|f| f.role == Role::Root);
    let broken = roots().filter(|f| f.severity == Severity::Critical).map(|f| f.room).min();
    let status = |room: Room| match broken {
        _ if scene.findings.iter().any(|f| f.room == room && f.severity == Severity::Critical) => {
            RoomStatus::Failed
        }
        Some(first) if room > first && first <= Room::Startup => RoomStatus::NotReached,
        _ => RoomStatus::Ok,
    };
    let path = Room::ALL.map(|room| RoomReport {
        room,
        status: status(room),
        elapsed_ms: Ms(0.1),
        summary: String::new(),
    });
    Report {
        schema: Report::SCHEMA.to_owned(),
        service: scene.service.to_string(),
        target: "postgres://app@db:5432/app".to_owned(),
        started_at: at,
        elapsed_ms: Ms(scene.waited_ms),
        status: if scene.unknown { Status::Unknown } else { Report::verdict(&scene.findings) },
        path: path.to_vec(),
        direct: Vec::new(),
        findings: scene.findings.iter().map(|finding| dated(scene, finding, at)).collect(),
        unseen: Vec::new(),
    }
}

/// Its facts are of this look, or of an earlier one.
fn dated(scene: &Scene, finding: &Finding, at: Timestamp) -> Finding {
    let mut finding = finding.clone();
    for fact in &mut finding.evidence {
        fact.at = if scene.carried_on { Timestamp(at.0 - 3000) } else { at };
    }
    finding
}

fn evidence(scene: &Scene, at: Timestamp) -> Evidence {
    fn unseen<T>() -> Shown<T> {
        Shown::NotSeen("not configured".to_owned())
    }
    let attempt = Attempt {
        at,
        elapsed_ms: Ms(scene.waited_ms),
        address: scene.server.clone(),
        outcome: scene.connect,
        errno: None,
    };
    Evidence {
        schema: Evidence::SCHEMA.to_owned(),
        pgmedic: "0.1.0".to_owned(),
        service: scene.service.to_string(),
        named: true,
        started_at: at,
        elapsed_ms: Ms(scene.waited_ms),
        timeout_ms: Ms(5000.0),
        target: TargetView {
            url: "postgres://app@db:5432/app".to_owned(),
            address: "db:5432".to_owned(),
            host: "db".to_owned(),
            port: 5432,
            user: "app".to_owned(),
            database: "app".to_owned(),
            ssl_mode: SslMode::Prefer,
            has_password: true,
            asks_read_only: false,
            wants_standby: false,
        },
        policy: Policy::default(),
        expected: None,
        app: AppEvidence { ready: unseen(), metrics: unseen(), log: unseen() },
        front: RouteEvidence {
            address: "db:5432".to_owned(),
            dns: DnsEvidence {
                at,
                elapsed_ms: Ms(0.1),
                subject: Subject::Name("db".to_owned()),
                system: None,
                stand_in: None,
                nameservers: Vec::new(),
                nameservers_skipped: None,
            },
            network: Some(NetworkEvidence { attempts: vec![attempt], ..NetworkEvidence::default() }),
            proxy: None,
            tls: None,
            startup: None,
            query: None,
        },
        direct: unseen(),
        rescue: unseen(),
        rescue_configured: false,
        pooler: unseen(),
        host: unseen(),
        platform: unseen(),
        preflight: unseen(),
        audit: unseen(),
        budget: Default::default(),
        earlier: Vec::new(),
        history: Vec::new(),
        offers: Vec::new(),
        standing: unseen(),
    }
}
