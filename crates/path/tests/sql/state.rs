//! Sessions, settings and storage as they stand.

use crate::server::{Server, end};
use pgmedic_lab::wait;
use pgmedic_model::Policy;
use pgmedic_path::sql::facts::SqlFacts;
use pgmedic_path::sql::{account, brief};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn sessions_are_grouped_counted_and_bounded(server: &mut Server) {
    let idle = server.sessions(250, "app", "shop");
    let policy = Policy { idle_after_ms: 0.0, ..Policy::default() };
    let facts = server.pgmedic("monitor", "shop").facts(server.major, &policy);
    assert_eq!((facts.admission.client_backends, facts.admission.own, facts.sessions.idle), (251, 1, 250));
    assert_eq!(facts.sessions.sessions.len(), 200);
    let ages: Vec<_> = facts.sessions.sessions.iter().map(|s| s.state_ms.unwrap()).collect();
    assert!(ages.is_sorted_by(|a, b| a >= b), "the longest idle first");
    assert_eq!((facts.admission.groups.len(), facts.admission.groups[0].over_idle_after), (1, 250));
    assert!(facts.admission.groups[0].oldest_state_ms.unwrap() >= ages[0]);
    let patient = server.facts("monitor", "shop");
    assert_eq!(patient.admission.groups[0].over_idle_after, 0);
    drop(idle);
}

pub(crate) fn a_brief_account_counts_what_a_whole_one_tells(server: &mut Server) {
    server.postgres().run("alter role app connection limit 40; alter database shop connection limit 50");
    let idle = server.sessions(20, "app", "shop");
    let (open, busy) = (server.session("app", "shop"), server.session("other", "shop"));
    open.run("begin; select 1");
    busy.begin("select pg_sleep(60)");
    server.wait_true("select count(*) = 1 from pg_stat_activity where wait_event = 'PgSleep'");
    let mut pgmedic = server.pgmedic("monitor", "shop");
    let whole = pgmedic.facts(server.major, &Policy::default());
    let policy = Policy { idle_after_ms: 0.0, ..Policy::default() };
    let read = |rows| pgmedic_path::sql::read(rows).unwrap().into_facts(&policy);
    let settings = "set datestyle to iso; set client_encoding to sql_ascii; ";
    let brief = read(pgmedic.run(&format!("{settings}{}", brief(server.major * 10_000, &policy))));
    let of = |f: &SqlFacts| {
        let (a, s) = (f.admission.clone(), f.sessions.clone());
        let counts = (a.client_backends, a.own, s.idle, s.idle_in_transaction, s.active);
        (counts, a.role_limits, a.database_limits, f.me.clone(), f.server.system_identifier.clone())
    };
    assert_eq!(of(&brief), of(&whole));
    // Its own session is among those.
    assert_eq!(brief.admission.started_lately, whole.admission.started_lately + 1);
    let crowd = brief.crowd.unwrap();
    assert!(crowd.longest_transaction_ms.is_some() && crowd.longest_statement_ms.is_some());
    assert_eq!((crowd.resting, crowd.writing), (21, 0));
    assert!(brief.sessions.sessions.is_empty() && brief.storage.database_bytes.is_none());
    // The same rows from what was prepared.
    pgmedic.run(&format!("prepare pgmedic_account as {}", account(server.major * 10_000)));
    let again = read(pgmedic.run("execute pgmedic_account"));
    assert_eq!((of(&again), again.crowd), (of(&whole), None));
    end(server, vec![open, busy]);
    drop(idle);
    server.postgres().run("alter role app connection limit -1; alter database shop connection limit -1");
}

pub(crate) fn a_lock_waiter_stands_out_of_a_brief_account(server: &mut Server) {
    let (holder, waiter) = (server.session("app", "shop"), server.session("app", "shop"));
    holder.run("begin; lock table jobs");
    waiter.begin("select from jobs");
    server.wait_waiting(1);
    let policy = Policy::default();
    let rows = server.pgmedic("monitor", "shop").run(&format!(
        "set datestyle to iso; set client_encoding to sql_ascii; {}",
        brief(server.major * 10_000, &policy)
    ));
    let facts = pgmedic_path::sql::read(rows).unwrap().into_facts(&policy);
    assert_eq!(facts.sessions.lock_waiters, 1);
    end(server, vec![holder, waiter]);
}

pub(crate) fn who_idles_in_a_transaction_and_who_works_is_named(server: &mut Server) {
    let (idle, failed, busy) =
        (server.session("app", "shop"), server.session("app", "shop"), server.session("app", "shop"));
    idle.run("begin; select 'hunter2' from jobs");
    failed.run("begin");
    failed.begin("select 1/0");
    busy.begin("select pg_sleep(60)");
    server.wait_true(
        "select count(*) = 2 from pg_stat_activity
         where state = 'idle in transaction (aborted)' or state = 'active' and query_start < now() - interval '1.1 s'",
    );
    let facts = server.facts("monitor", "postgres");
    assert_eq!((facts.sessions.idle_in_transaction, facts.sessions.active, facts.sessions.idle), (2, 1, 0));
    let named: Vec<_> = facts.sessions.sessions.iter().map(|s| s.pid).collect();
    assert_eq!(named, [idle.pid, failed.pid, busy.pid], "the longest of a class first, each class together");
    let session = &facts.sessions.sessions[0];
    assert!(!session.query.as_str().contains("hunter2"), "{}", session.query);
    assert!(session.xact_ms.is_some() && session.state_ms.is_some() && session.query_ms.is_some());
    assert_eq!((session.superuser, session.database.as_str(), session.role.as_str()), (false, "shop", "app"));
    let sleeper = &facts.sessions.sessions[2];
    assert_eq!(
        (sleeper.wait_event.as_deref(), sleeper.query.as_str()),
        (Some("PgSleep"), "select pg_sleep(?)")
    );
    assert!(sleeper.query_ms.unwrap() > 1000.0);
    end(server, vec![idle, failed, busy]);
}

pub(crate) fn a_setting_waits_for_a_restart(server: &mut Server) {
    assert_eq!(server.facts("other", "shop").server.pending_restart, Vec::<String>::new());
    let before = std::fs::read_to_string(server.data().join("postgresql.conf")).unwrap();
    server.add_settings("max_locks_per_transaction = 65\n");
    server.postgres().run("select pg_reload_conf()");
    // The postmaster reads it when it comes to it; sessions from then on know.
    wait::until_true("a pending restart", PATIENCE, || {
        server.facts("other", "shop").server.pending_restart == ["max_locks_per_transaction"]
    })
    .unwrap();
    std::fs::write(server.data().join("postgresql.conf"), before).unwrap();
    server.down();
    server.up();
    assert_eq!(server.facts("other", "shop").server.pending_restart, Vec::<String>::new());
}

pub(crate) fn read_only_is_told_with_where_it_is_set(server: &mut Server) {
    server.postgres().run(
        "alter database shop set default_transaction_read_only = on;
         alter role app set default_transaction_read_only = 'YES';
         alter role app in database postgres set default_transaction_read_only = tru;
         alter role other set default_transaction_read_only = off",
    );
    let facts = server.facts("other", "shop");
    let mut set_for = facts.server.read_only_set_for.clone();
    set_for.sort();
    let expected =
        [("", "app"), ("postgres", "app"), ("shop", "")].map(|(d, r)| (d.to_owned(), r.to_owned()));
    assert_eq!(set_for, expected);
    assert!(
        !facts.server.default_transaction_read_only,
        "its own role's setting is nearer than the database's"
    );
    let facts = server.facts("monitor", "shop");
    assert!(facts.server.default_transaction_read_only && facts.server.transaction_read_only);
    server.postgres().run(
        "alter database shop reset all; alter role app reset all; alter role app in database postgres reset all;
         alter role other reset all",
    );
    assert_eq!(server.facts("other", "shop").server.read_only_set_for, Vec::new());
}

pub(crate) fn a_slot_retains_wal_and_the_archiver_fails(server: &mut Server) {
    let postgres = server.postgres();
    postgres.run("select pg_create_physical_replication_slot('dead', true)");
    postgres.run("select pg_create_logical_replication_slot('stale', 'pgoutput')");
    postgres.run("create table bulk as select repeat('x', 1000) from generate_series(1, 5000)");
    postgres.run("select pg_switch_wal(); checkpoint");
    for role in ["monitor", "other"] {
        let facts = server.facts(role, "shop");
        let slots = &facts.storage.slots;
        assert_eq!(slots.len(), 2);
        assert!(
            slots.is_sorted_by(|a, b| a.retained_bytes >= b.retained_bytes),
            "those that retain most first"
        );
        for slot in slots {
            assert!(!slot.active && !slot.temporary);
            assert!(slot.retained_bytes.is_some_and(|bytes| bytes > 4_000_000), "{slot:?}");
            assert_eq!(slot.wal_status.as_deref(), (server.major >= 13).then_some("reserved"));
            assert_eq!(slot.inactive_ms.is_some(), server.major >= 17, "{slot:?}");
        }
        let logical = slots.iter().find(|slot| slot.name == "stale").unwrap();
        assert_eq!((logical.kind.as_str(), logical.database.as_deref()), ("logical", Some("postgres")));
        assert!(logical.xmin_age.is_some());
    }
    postgres
        .run("select pg_drop_replication_slot('dead'), pg_drop_replication_slot('stale'); drop table bulk");
    if server.major < 15 {
        assert_eq!(server.facts("monitor", "shop").storage.archiver, None);
        return;
    }
    wait::until_true("a failing archiver", PATIENCE, || {
        let archiver = server.facts("other", "shop").storage.archiver.unwrap();
        archiver.failing && archiver.failed > 0 && archiver.last_failed_ms.is_some()
    })
    .unwrap();
}
