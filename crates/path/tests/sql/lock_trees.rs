//! Who waits for whom, down to the root.

use crate::server::{Server, Session, end};
use pgmedic_path::sql::facts::{SessionFacts, SqlFacts};

fn blocked_by(facts: &SqlFacts, session: &Session) -> Vec<i32> {
    let wait = facts.sessions.waits.iter().find(|w| w.pid == session.pid);
    wait.map(|w| w.blocked_by.clone()).unwrap_or_default()
}

fn holds<'a>(facts: &'a SessionFacts, session: &Session) -> Option<&'a str> {
    facts.sessions.iter().find(|s| s.pid == session.pid)?.holds.as_deref()
}

pub(crate) fn twenty_wait_behind_one(server: &mut Server) {
    let holder = server.session("app", "shop");
    holder.run("begin; lock table jobs in access exclusive mode");
    let waiters = server.sessions(20, "app", "shop");
    waiters.iter().for_each(|w| w.begin("select count(*) from jobs"));
    server.wait_waiting(20);
    // The API's own role sees as much of its own sessions as the monitor does.
    for (role, database) in [("monitor", "shop"), ("app", "shop"), ("postgres", "postgres")] {
        let facts = server.facts(role, database);
        assert_eq!((facts.sessions.lock_waiters, facts.sessions.waits.len()), (20, 20), "{role}");
        assert!(waiters.iter().all(|w| blocked_by(&facts, w) == [holder.pid]), "{role}");
        assert_eq!(facts.sessions.sessions[0].pid, holder.pid, "the blocker is named first");
        assert_eq!(facts.sessions.sessions.len(), 21);
        let relation =
            facts.sessions.waits[0].wants.as_deref().unwrap().strip_prefix("AccessShareLock on ").unwrap();
        assert_eq!(holds(&facts.sessions, &holder), Some(&*format!("AccessExclusiveLock on {relation}")));
        if database == "shop" {
            assert_eq!(relation, if role == "monitor" { "jobs" } else { relation });
        } else {
            assert!(relation.parse::<u32>().is_ok(), "names of other databases are not known: {relation}");
        }
    }
    // A role that sees no states sees no waiting; the locks that it could see are not read for that.
    let facts = server.facts("other", "shop");
    assert_eq!((facts.sessions.lock_waiters, facts.sessions.waits.len()), (0, 0));
    drop(holder);
    end(server, waiters);
}

pub(crate) fn a_chain_of_row_locks_leads_to_its_root(server: &mut Server) {
    let [a, b, c] = [1, 2, 3].map(|id| {
        let session = server.session("app", "shop");
        session.run(&format!("begin; update jobs set n = n + 1 where id = {id}"));
        session
    });
    b.begin("update jobs set n = 0 where id = 1");
    server.wait_waiting(1);
    c.begin("update jobs set n = 0 where id = 2");
    server.wait_waiting(2);
    let facts = server.facts("monitor", "shop");
    assert_eq!((blocked_by(&facts, &c), blocked_by(&facts, &b)), (vec![b.pid], vec![a.pid]));
    assert_eq!(blocked_by(&facts, &a), Vec::<i32>::new());
    for session in [&a, &b] {
        assert_eq!(holds(&facts.sessions, session), Some("RowExclusiveLock on jobs"));
    }
    assert_eq!(holds(&facts.sessions, &c), None, "nobody waits for it");
    let wants = facts.sessions.waits[0].wants.as_deref().unwrap();
    assert!(wants.starts_with("ShareLock on transaction "), "{wants}");
    end(server, vec![a, b, c]);
}

pub(crate) fn readers_queue_behind_a_waiting_alter(server: &mut Server) {
    let reader = server.session("app", "shop");
    reader.run("begin; select count(*) from jobs");
    let alter = server.session("app", "shop");
    alter.begin("alter table jobs add column later int");
    server.wait_waiting(1);
    let readers = server.sessions(5, "app", "shop");
    readers.iter().for_each(|r| r.begin("select count(*) from jobs"));
    server.wait_waiting(6);
    let facts = server.facts("monitor", "shop");
    assert_eq!(blocked_by(&facts, &alter), [reader.pid]);
    assert!(readers.iter().all(|r| blocked_by(&facts, r) == [alter.pid]), "{:?}", facts.sessions.waits);
    assert_eq!(holds(&facts.sessions, &reader), Some("AccessShareLock on jobs"));
    end(server, readers);
    end(server, vec![alter, reader]);
}

/// More waiters than are looked into, and the link to the root is the youngest transaction of all.
pub(crate) fn among_many_waiters_the_root_is_found(server: &mut Server) {
    let old = server.sessions(130, "app", "shop");
    old.iter().for_each(|s| drop(s.run("begin; select 1")));
    let (root, link) = (server.session("app", "shop"), server.session("app", "shop"));
    root.run("begin; update jobs set n = 1 where id = 1");
    link.run("begin; lock table jobs in row exclusive mode; update jobs set n = 1 where id = 2");
    old.iter().for_each(|s| s.begin("update jobs set n = 1 where id = 2"));
    server.wait_waiting(130);
    link.begin("update jobs set n = 1 where id = 1");
    server.wait_waiting(131);
    let facts = server.facts("monitor", "shop");
    assert_eq!((facts.sessions.lock_waiters, facts.sessions.waits.len()), (131, 100));
    assert_eq!(blocked_by(&facts, &link), [root.pid], "without it the tree would end at one who waits");
    assert!(facts.sessions.sessions.len() <= 200);
    for blocker in [&root, &link] {
        assert_eq!(holds(&facts.sessions, blocker), Some("RowExclusiveLock on jobs"));
    }
    end(server, old);
    end(server, vec![link, root]);
}

/// A role without pg_read_all_stats is not told who waits; pg_locks is open to it.
pub(crate) fn a_plain_role_sees_who_waits_where_slots_run_short(server: &mut Server) {
    let holder = server.session("app", "shop");
    holder.run("begin; lock table jobs in access exclusive mode");
    let waiters = server.sessions(3, "app", "shop");
    waiters.iter().for_each(|s| s.begin("select count(*) from jobs"));
    server.wait_waiting(3);
    let facts = server.facts("other", "shop");
    assert_eq!((facts.sessions.lock_waiters, facts.sessions.waits.len()), (0, 0), "nothing more is asked");
    let crowd = server.sessions(240, "app", "shop");
    let facts = server.facts("other", "shop");
    assert_eq!((facts.sessions.lock_waiters, facts.sessions.waits.len()), (3, 3));
    assert!(waiters.iter().all(|w| blocked_by(&facts, w) == [holder.pid]), "{:?}", facts.sessions.waits);
    end(server, waiters);
    end(server, crowd);
    end(server, vec![holder]);
}

pub(crate) fn advisory_locks_are_told(server: &mut Server) {
    let (holder, waiter) = (server.session("app", "shop"), server.session("app", "shop"));
    holder.run("select pg_advisory_lock(4711)");
    waiter.begin("select pg_advisory_lock(4711)");
    server.wait_waiting(1);
    let facts = server.facts("monitor", "shop");
    assert_eq!(blocked_by(&facts, &waiter), [holder.pid]);
    assert_eq!(facts.sessions.waits[0].wants.as_deref(), Some("ExclusiveLock on advisory"));
    let named = facts.sessions.sessions.iter().find(|s| s.pid == holder.pid).unwrap();
    assert_eq!((named.advisory, named.state.as_deref(), named.holds.as_deref()), (true, Some("idle"), None));
    end(server, vec![waiter, holder]);
}

pub(crate) fn a_prepared_transaction_is_blamed(server: &mut Server) {
    let session = server.session("app", "shop");
    session.run("begin; insert into jobs values (100, 0); prepare transaction 'harmless'");
    session.run("begin; update jobs set n = 1 where id = 1; prepare transaction 'orphan'");
    drop(session);
    server.postgres().run("create table elsewhere ()");
    for after_restart in [false, true] {
        if after_restart {
            server.down();
            server.up();
        }
        let (row, table) = (server.session("app", "shop"), server.session("app", "shop"));
        row.begin("update jobs set n = 2 where id = 1");
        server.wait_waiting(1);
        table.begin("begin; lock table jobs in access exclusive mode");
        server.wait_waiting(2);
        for role in ["monitor", "app"] {
            let facts = server.facts(role, "shop");
            assert_eq!(blocked_by(&facts, &row), [0]);
            let by = blocked_by(&facts, &table);
            assert!(by.contains(&0) && by.contains(&row.pid), "{by:?}");
            let told: Vec<_> = facts.sessions.prepared.iter().map(|p| (p.gid.as_str(), p.blocks)).collect();
            // A lock on the whole table is hindered by both, the row by one alone.
            assert_eq!(told, [("harmless", 1), ("orphan", 2)], "after a restart: {after_restart}");
            assert_eq!(facts.sessions.prepared_total, 2);
            let orphan = &facts.sessions.prepared[1];
            assert_eq!((orphan.owner.as_str(), orphan.database.as_str()), ("app", "shop"));
            assert!(orphan.age_ms > 0.0);
        }
        end(server, vec![table, row]);
        server.wait_alone();
    }
    server.postgres().run("drop table elsewhere");
    let session = server.session("app", "shop");
    session.run("rollback prepared 'harmless'");
    session.run("rollback prepared 'orphan'");
}
