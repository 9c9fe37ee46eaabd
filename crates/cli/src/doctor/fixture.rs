//! A service and its evidence for the tests of this folder, in which nothing lacks. Tests mutate from there.

use super::Subject;
use crate::surroundings::Surroundings;
use pgmedic_model::{Ms, ServerError, SqlState, Target, Timestamp};
use pgmedic_path::audit::facts::{AuditFacts, RoleView};
use pgmedic_path::evidence::{QueryEvidence, QueryOutcome, RouteEvidence, Seen};
use pgmedic_path::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use pgmedic_path::sql::facts::SqlFacts;
use pgmedic_path::{Evidence, Service};

pub(super) struct Scene {
    pub(super) service: Service,
    pub(super) evidence: Evidence,
}

pub(super) fn target(url: &str) -> Target {
    Surroundings::default().target(Some(url)).unwrap()
}

impl Default for Scene {
    /// The role app of shop, which sees all and may end sessions.
    fn default() -> Self {
        let service = Service::bare(target("postgres://app:secret@db.internal:5432/shop"));
        let mut scene = Self { service, evidence: evidence() };
        scene.facts(|facts| {
            facts.version_num = 150_018;
            facts.me.role = "app".to_owned();
            facts.me.database = "shop".to_owned();
            (facts.me.sees_all, facts.me.may_signal) = (true, true);
            facts.admission.max_connections = 100;
            facts.admission.superuser_reserved = 3;
            facts.storage.data_directory = Some("/var/lib/postgresql/15/main".to_owned());
        });
        scene
    }
}

impl Scene {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            service: &self.service,
            evidence: &self.evidence,
            rescue: None,
            commands: &[],
            user: "pgmedic",
        }
    }

    /// Changes the server's account.
    pub(super) fn facts(&mut self, change: impl FnOnce(&mut SqlFacts)) {
        if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) =
            &mut self.evidence.front.query
        {
            change(facts);
        }
    }

    /// Changes what it told the audit; its first role is app.
    pub(super) fn audit(&mut self, change: impl FnOnce(&mut AuditFacts)) {
        if let Seen::Seen(audit) = &mut self.evidence.audit {
            change(audit);
        }
    }
}

/// The same way in, refused in the startup.
pub(super) fn refused(route: &RouteEvidence, code: &str, message: &str) -> RouteEvidence {
    let mut route = route.clone();
    route.query = None;
    if let Some(startup) = &mut route.startup {
        startup.outcome = StartupOutcome::Error(ServerError {
            severity: "FATAL".to_owned(),
            code: Some(SqlState::new(code)),
            message: message.to_owned(),
            ..ServerError::default()
        });
    }
    route
}

fn evidence() -> Evidence {
    let no = || serde_json::json!({ "not-seen": "not configured" });
    let at = Timestamp(1_795_403_529_000);
    // The rooms before the startup are of no interest here; the JSON is a recording's.
    let dns = serde_json::json!({
        "at": at, "elapsed_ms": 0.5, "subject": { "name": "db.internal" }, "system": null, "stand_in": null,
        "nameservers": [], "nameservers_skipped": null
    });
    let startup = StartupEvidence {
        at,
        elapsed_ms: Ms(4.0),
        user: "app".to_owned(),
        database: "shop".to_owned(),
        auth: None,
        authenticated: true,
        outcome: StartupOutcome::Ready,
        notices: Vec::new(),
        server_version: Some("15.18".to_owned()),
        product: None,
        in_hot_standby: Some(false),
        default_transaction_read_only: Some(false),
        is_superuser: Some(false),
        backend_pid: Some(4711),
        pooler: None,
        received_bytes: 300,
    };
    let query = QueryEvidence {
        at,
        elapsed_ms: Ms(2.0),
        outcome: QueryOutcome::Answered(Box::default()),
        notices: Vec::new(),
        refused: None,
        received_bytes: 4000,
        aftermath: None,
    };
    let audit = AuditFacts {
        at,
        elapsed_ms: Ms(1.0),
        place: "db.internal:5432".to_owned(),
        settings: Default::default(),
        roles: vec![RoleView { name: "app".to_owned(), limit: -1, ..RoleView::default() }],
        set_for: Vec::new(),
        owners: Default::default(),
        hba: Seen::Seen(Vec::new()),
    };
    let preflight = serde_json::json!({ "seen": {
        "at": at, "elapsed_ms": 1.0, "place": "db.internal:5432", "hba": { "seen": [] }, "settings": { "seen": [] },
        "pending_restart": [], "base_backups": { "seen": [] }, "may_hba": true
    }});
    let recording = serde_json::json!({
        "schema": Evidence::SCHEMA, "pgmedic": "0.1.0", "service": "shop", "started_at": at, "elapsed_ms": 9.0,
        "timeout_ms": 10_000.0,
        "target": {
            "url": "postgres://app@db.internal:5432/shop", "address": "db.internal:5432", "host": "db.internal",
            "port": 5432, "user": "app", "database": "shop", "ssl_mode": "prefer", "has_password": true
        },
        "policy": pgmedic_model::Policy::default(),
        "app": { "ready": no(), "metrics": no(), "log": no() },
        "front": {
            "address": "db.internal:5432", "dns": dns, "network": null, "proxy": null, "tls": null,
            "startup": startup, "query": query
        },
        "direct": no(), "rescue": no(), "pooler": no(), "host": no(), "platform": no(),
        "preflight": preflight, "audit": { "seen": audit }
    });
    serde_json::from_value(recording).unwrap()
}
