//! The statement through a pooler, and on a standby.

use crate::server::Server;
use pgmedic_lab::process::{Account, Launch};
use pgmedic_lab::{programs, wait};
use pgmedic_model::Policy;
use rustix::process::Signal;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// PgBouncer's socket, in the folder of the server's own.
const POOLER: u16 = 6432;

pub(crate) fn through_pgbouncer_in_transaction_mode(server: &mut Server) {
    let folder = server.folder();
    let (file, users) = (folder.join("pgbouncer.ini"), folder.join("users.txt"));
    let sockets = folder.display();
    let configuration = format!(
        "[databases]\n* = host={sockets} port=5432\n[pgbouncer]\nlisten_addr =\nlisten_port = {POOLER}\n\
         unix_socket_dir = {sockets}\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
         default_pool_size = 1\n",
        users.display()
    );
    let roles = ["postgres", "monitor", "app", "other"].map(|role| format!("\"{role}\" \"\"\n"));
    for (path, text) in [(&file, configuration), (&users, roles.concat())] {
        std::fs::write(path, text).unwrap();
        Account::give(server.account(), path).unwrap();
    }
    let launch = Launch {
        name: "pgbouncer",
        program: programs::find("pgbouncer").unwrap(),
        arguments: vec![file.into()],
        folder,
        log: &folder.join("pgbouncer.log"),
        account: server.account(),
        end: Signal::TERM,
    };
    let mut pooler = launch.start().unwrap();
    let login = |role: &str| server.session_at(folder, POOLER, role, "shop", "web");
    wait::until("an answering PgBouncer", PATIENCE, || {
        pooler.expect_alive()?;
        Ok(login("app").map(drop).map_err(|e| e.to_string()))
    })
    .unwrap();
    // What another client left behind in the one server connection is in force for the next.
    login("monitor")
        .unwrap()
        .run("set search_path = ''; set datestyle = 'German'; set standard_conforming_strings = off");
    for role in ["postgres", "monitor", "other"] {
        let facts = server.pgmedic_at(POOLER, role, "shop").facts(server.major, &Policy::default());
        assert_eq!((facts.me.role.as_str(), facts.me.database.as_str()), (role, "shop"));
        // A connection that pgmedic used before keeps its name in the pool.
        assert!(facts.admission.own >= 1 && facts.admission.client_backends > facts.admission.own);
        assert_eq!(facts.admission.max_connections, 300);
    }
}

pub(crate) fn on_a_standby(server: &mut Server) {
    server.postgres().run("select pg_create_physical_replication_slot('kept', true)");
    let standby = server.standby();
    server.wait_true("select count(*) = 1 from pg_stat_replication where state = 'streaming'");
    server.postgres().run("create table replayed ()");
    wait::until_true("a replayed transaction", PATIENCE, || {
        standby.facts("monitor", "shop").server.replay_lag_ms.is_some()
    })
    .unwrap();
    for role in ["postgres", "monitor", "other"] {
        let facts = standby.facts(role, "shop");
        assert!(facts.server.in_recovery && facts.server.transaction_read_only, "{role}");
        let sees = role != "other";
        assert_eq!(facts.server.receiving, sees.then_some(true), "{role}");
        assert_eq!(facts.server.system_identifier, server.facts(role, "shop").server.system_identifier);
        assert!(facts.storage.slots.iter().all(|slot| slot.retained_bytes.is_some()), "{role}");
    }
    let primary = server.facts("monitor", "shop");
    assert_eq!(primary.admission.client_backends, 1, "a walsender takes no ordinary slot");
    drop(standby);
    server.postgres().run("drop table replayed; select pg_drop_replication_slot('kept')");
    server.wait_true("select count(*) = 0 from pg_stat_replication");
}
