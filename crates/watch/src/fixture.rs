//! Services, looks and a board for tests of the metrics and the API. Nothing in here is compiled into the library.

use crate::board::{Board, Patient};
use crate::incident::{Affected, Incident};
use crate::seen::{Kind, Seen};
use pgmedic_model::{Confidence, Fact, Finding, Ms, Policy, Room, Severity, Source, SslMode, Timestamp};
use pgmedic_path::evidence::{
    Evidence, QueryEvidence, QueryOutcome, RouteEvidence, Seen as Shown, TargetView,
};
use pgmedic_path::platform::evidence::{HostEvidence, VolumeView};
use pgmedic_path::rooms::app::evidence::{AppEvidence, PoolMetrics};
use pgmedic_path::rooms::dns::evidence::{DnsEvidence, Subject, SystemLookup, SystemOutcome};
use pgmedic_path::rooms::network::evidence::{Attempt, ConnectOutcome, NetworkEvidence};
use pgmedic_path::rooms::proxy::evidence::{FirstBytes, ProxyEvidence, Sent};
use pgmedic_path::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use pgmedic_path::rooms::tls::evidence::{TlsEvidence, TlsOutcome};
use pgmedic_path::sql::facts::{LimitFacts, Me, SessionGroup, SessionView, SlotView, SqlFacts};
use std::sync::Arc;

/// 2026-11-23T03:12:09Z.
pub(crate) const AT: Timestamp = Timestamp(1_795_403_529_000);

/// A server's account: 60 sessions of four kinds, limits, a slot.
pub(crate) fn facts() -> SqlFacts {
    let group = |application: &str, state: &str, count| SessionGroup {
        application: application.to_owned(),
        role: "app".to_owned(),
        database: "renderflow".to_owned(),
        state: Some(state.to_owned()),
        count,
        ..SessionGroup::default()
    };
    let mut facts = SqlFacts { version_num: 150_018, ..SqlFacts::default() };
    facts.me = Me { role: "app".to_owned(), sees_all: true, ..Me::default() };
    let a = &mut facts.admission;
    (a.max_connections, a.superuser_reserved, a.client_backends, a.own) = (100, 3, 60, 1);
    a.groups =
        vec![group("api", "idle", 40), group("api", "active", 10), group("worker", "idle in transaction", 9)];
    a.role_limits = vec![LimitFacts { name: "app".to_owned(), limit: 50, used: 49, allows: true }];
    facts.sessions.sessions = vec![SessionView {
        state: Some("active".to_owned()),
        xact_ms: Some(90_000.0),
        query_ms: Some(61_500.0),
        ..SessionView::default()
    }];
    facts.sessions.lock_waiters = 3;
    facts.storage.database_bytes = Some(7_000_000);
    let slot = SlotView { name: "standby".to_owned(), retained_bytes: Some(1 << 30), ..SlotView::default() };
    facts.storage.slots = vec![slot];
    facts
}

/// What one walk saw of a service that answers with these facts.
pub(crate) fn evidence(service: &str, facts: Option<SqlFacts>) -> Evidence {
    let address = format!("{service}-db.internal:5432");
    let query = facts.map(|f| QueryEvidence {
        at: AT,
        elapsed_ms: Ms(2.0),
        outcome: QueryOutcome::Answered(Box::new(f)),
        notices: Vec::new(),
        refused: None,
        received_bytes: 4000,
        aftermath: None,
    });
    let front = front(&address, query);
    let volume = VolumeView {
        total_bytes: 100 << 30,
        available_bytes: 40 << 30,
        total_inodes: 1000,
        ..VolumeView::default()
    };
    let pool =
        PoolMetrics { max: Some(10.0), in_use: Some(10.0), waiting: Some(4.0), ..PoolMetrics::default() };
    Evidence {
        schema: Evidence::SCHEMA.to_owned(),
        pgmedic: "0.1.0".to_owned(),
        service: service.to_owned(),
        named: true,
        started_at: AT,
        elapsed_ms: Ms(9.0),
        timeout_ms: Ms(5000.0),
        target: target(address),
        policy: Policy::default(),
        expected: None,
        app: AppEvidence { ready: unseen(), metrics: Shown::Seen(pool), log: unseen() },
        front,
        direct: unseen(),
        rescue: unseen(),
        rescue_configured: false,
        pooler: unseen(),
        host: Shown::Seen(HostEvidence { volumes: vec![volume], ..HostEvidence::default() }),
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

fn front(address: &str, query: Option<QueryEvidence>) -> RouteEvidence {
    RouteEvidence {
        address: address.to_owned(),
        dns: DnsEvidence {
            at: AT,
            elapsed_ms: Ms(0.5),
            subject: Subject::Name(address.to_owned()),
            system: Some(SystemLookup {
                elapsed_ms: Ms(0.5),
                outcome: SystemOutcome::Resolved(vec![[10, 0, 0, 7].into()]),
            }),
            stand_in: None,
            nameservers: Vec::new(),
            nameservers_skipped: None,
        },
        network: Some(NetworkEvidence {
            elapsed_ms: Ms(0.2),
            attempts: vec![Attempt {
                at: AT,
                elapsed_ms: Ms(0.2),
                address: "10.0.0.7:5432".to_owned(),
                outcome: ConnectOutcome::Connected,
                errno: None,
            }],
            transport: None,
            families: None,
        }),
        proxy: Some(ProxyEvidence {
            at: AT,
            elapsed_ms: Ms(0.3),
            sent: Sent::Startup,
            first: FirstBytes::Message('R'),
        }),
        tls: Some(TlsEvidence {
            at: AT,
            elapsed_ms: Ms(0.0),
            mode: SslMode::Disable,
            outcome: TlsOutcome::Plain { why: "none was asked for".to_owned() },
            certificate: None,
            verification: None,
            fell_back: None,
            first_refusal: None,
        }),
        startup: Some(startup()),
        query,
    }
}

fn startup() -> StartupEvidence {
    StartupEvidence {
        at: AT,
        elapsed_ms: Ms(4.0),
        user: "app".to_owned(),
        database: "renderflow".to_owned(),
        auth: None,
        authenticated: true,
        outcome: StartupOutcome::Ready,
        notices: Vec::new(),
        product: None,
        received_bytes: 300,
        server_version: Some("15.18".to_owned()),
        in_hot_standby: Some(false),
        default_transaction_read_only: Some(false),
        is_superuser: Some(false),
        backend_pid: Some(4711),
        pooler: None,
    }
}

fn target(address: String) -> TargetView {
    TargetView {
        url: format!("postgres://app@{address}/renderflow"),
        address,
        host: "db.internal".to_owned(),
        port: 5432,
        user: "app".to_owned(),
        database: "renderflow".to_owned(),
        ssl_mode: SslMode::Prefer,
        has_password: true,
        asks_read_only: false,
        wants_standby: false,
    }
}

fn unseen<T>() -> Shown<T> {
    Shown::NotSeen("not configured".to_owned())
}

/// A look at a service `second`s after [`AT`], in which these were found.
pub(crate) fn seen(service: &str, kind: Kind, second: i64, findings: Vec<Finding>) -> Seen {
    of(evidence(service, Some(facts())), kind, second, findings)
}

/// The same of this evidence.
pub(crate) fn of(evidence: Evidence, kind: Kind, second: i64, findings: Vec<Finding>) -> Seen {
    let report = pgmedic_path::report(&evidence, findings);
    let service = Arc::from(evidence.service.as_str());
    let at = Timestamp(AT.0 + second * 1000);
    Seen { service, at, kind, lag: Ms(0.4), report: Arc::new(report), evidence: Arc::new(evidence) }
}

/// Every slot is taken.
pub(crate) fn exhausted() -> Finding {
    let fact = Fact::new(Source::Sql, AT, "pg_stat_activity", "97 of 97 ordinary slots taken").value(97);
    let (severity, confidence) = (Severity::Critical, Confidence::Certain);
    Finding::new("slots-exhausted", Room::Admission, severity, confidence, "97 of 97 slots taken", fact)
}

/// An open incident of that cause.
pub(crate) fn incident(id: &str, service: &str) -> Incident {
    let affected = Affected {
        since: AT,
        until: None,
        summary: "97 of 97 slots taken".to_owned(),
        cause: "slots-exhausted".to_owned(),
    };
    let look = seen(service, Kind::Walk, 0, vec![exhausted()]);
    Incident {
        schema: Incident::SCHEMA.to_owned(),
        id: id.to_owned(),
        cause: "slots-exhausted".to_owned(),
        causes: Vec::new(),
        room: Room::Admission,
        severity: Severity::Critical,
        confidence: Confidence::Certain,
        summary: "97 of 97 slots taken".to_owned(),
        service: service.to_owned(),
        services: [(service.to_owned(), affected)].into(),
        shared: None,
        places: Vec::new(),
        opened_at: AT,
        back_at: None,
        updated_at: AT,
        closed_at: None,
        proof: None,
        flaps: 0,
        evidence: exhausted().evidence,
        remedies: Vec::new(),
        actions: Vec::new(),
        held: None,
        failed_fixes: 0,
        escalated: false,
        report: Some(Box::new((*look.report).clone())),
    }
}

/// A board of so many services, `service-0000` on, each looked at and walked to once; every tenth is critical.
pub(crate) fn board(services: usize) -> Board {
    let board = Board::default();
    for n in 0..services {
        let name = format!("service-{n:04}");
        let labels = [("team".to_owned(), "render".to_owned())].into();
        board.state().services.insert(Arc::from(name.as_str()), Patient { labels, ..Patient::default() });
        let findings = || if n % 10 == 0 { vec![exhausted()] } else { Vec::new() };
        board.saw(seen(&name, Kind::Walk, 0, findings()));
        board.saw(seen(&name, Kind::Look, 1, findings()));
        if n % 10 == 0 {
            let id = format!("20261123T031209-{name}");
            board.state().incidents.insert(id.clone(), Arc::new(incident(&id, &name)));
        }
    }
    board.state().own.started_at = AT;
    board
}
