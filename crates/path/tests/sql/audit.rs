//! What an audit asks runs on every version, for every role, and tells what the role's own sessions get.

use crate::logins::service;
use crate::server::Server;
use pgmedic_path::audit::audit;
use pgmedic_path::audit::facts::AuditFacts;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Evidence, Seen, walk_for};
use std::time::Duration;

fn walked(server: &Server, role: &str) -> Evidence {
    let service = service(server, role, "shop");
    server.runtime.block_on(walk_for(Purpose::Audit, &service, Duration::from_secs(10), &|_| {}))
}

fn told(e: &Evidence) -> &AuditFacts {
    match &e.audit {
        Seen::Seen(told) => told,
        Seen::NotSeen(why) => panic!("{why}"),
    }
}

pub(crate) fn an_audit_is_told_what_each_role_may_see(server: &mut Server) {
    for role in ["postgres", "monitor", "other"] {
        let e = walked(server, role);
        let told = told(&e);
        let has = |name: &str| told.settings.contains_key(name);
        assert!(has("statement_timeout") && has("tcp_keepalives_idle") && has("fsync"), "{role}");
        assert_eq!(has("client_connection_check_interval"), server.major >= 14, "{role}");
        assert_eq!(has("max_slot_wal_keep_size"), server.major >= 13, "{role}");
        assert_eq!(has("transaction_timeout"), server.major >= 17, "{role}");
        assert_eq!(told.role("postgres").map(|r| (r.bootstrap, r.superuser)), Some((true, true)), "{role}");
        assert_eq!(told.role("monitor").map(|r| r.monitors), Some(true), "{role}");
        assert_eq!(told.hba.get().is_some(), role == "postgres", "{role}: {:?}", told.hba);
        let report = audit(&e);
        let hidden =
            report.unseen.iter().any(|u| u.starts_with("pg_hba.conf: ") && u.contains("grant execute"));
        assert_eq!(hidden, role != "postgres", "{role}: {:?}", report.unseen);
        assert!(report.findings.iter().any(|f| f.weakness == "timeouts-missing"), "{role}");
    }
}

pub(crate) fn an_audit_sees_what_a_roles_sessions_get(server: &mut Server) {
    let admin = server.postgres();
    for statement in [
        "alter role other set statement_timeout = '7s'",
        "alter role other in database shop set lock_timeout = '3s'",
        "alter role other set search_path = 'nowhere'",
        "alter database shop set idle_in_transaction_session_timeout = '1min'",
        "create role ends login valid until '2030-01-01 00:00:00+00' connection limit 4",
        "create role endless login valid until 'infinity'",
    ] {
        admin.run(statement);
    }
    let e = walked(server, "other");
    let facts = told(&e);
    let value = |name: &str| facts.settings[name].number();
    // Not what pgmedic bounds itself by.
    assert_eq!(value("statement_timeout"), Some(7_000.0));
    assert_eq!(value("lock_timeout"), Some(3_000.0));
    assert_eq!(value("idle_in_transaction_session_timeout"), Some(60_000.0));
    assert!(facts.set_for.iter().all(|s| s.name != "search_path"), "{:?}", facts.set_for);
    assert!(audit(&e).findings.iter().all(|f| f.weakness != "timeouts-missing" || server.major >= 17));
    let role = |name: &str| facts.role(name).unwrap();
    assert_eq!(role("ends").valid_until.map(|t| t.to_string()).as_deref(), Some("2030-01-01T00:00:00.000Z"));
    assert_eq!((role("ends").limit, role("endless").valid_until), (4, None));
    for statement in [
        "drop role ends",
        "drop role endless",
        "alter role other reset all",
        "alter role other in database shop reset all",
        "alter database shop reset all",
    ] {
        admin.run(statement);
    }
}
