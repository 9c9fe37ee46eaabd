//! What a restart would ruin, brought about on a real server: each closes the gate in front of it, and what cannot be read
//! closes it too.

use crate::scene::{Scene, TIMEOUT};
use pgmedic_lab::postgres::DATABASE;
use pgmedic_lab::sessions::Sessions;
use pgmedic_model::Action;
use pgmedic_path::gates::barred;
use pgmedic_path::service::Window;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Evidence, Service, walk_for};
use std::process::Stdio;

fn look(scene: &Scene, service: &Service) -> Evidence {
    scene.server.run(walk_for(Purpose::Preflight, service, TIMEOUT, &|_| {}))
}

/// Why the database is not restarted now.
fn why_not(scene: &Scene) -> Option<String> {
    barred(&look(scene, &scene.service), &Action::RestartDb)
}

fn starts(why: &Option<String>, gate: &str) {
    assert!(why.as_deref().is_some_and(|why| why.starts_with(gate)), "{gate}: {why:?}");
}

#[test]
fn each_thing_that_a_restart_would_ruin_closes_its_gate() {
    let scene = Scene::new();
    let postgres = scene.server.lab().postgres();
    assert_eq!(why_not(&scene), None, "a healthy server may be restarted");

    let rules = std::fs::read_to_string(postgres.data().join("pg_hba.conf")).unwrap();
    postgres.write("pg_hba.conf", &format!("{rules}hots all all 10.0.0.0/8 trust\n")).unwrap();
    starts(&why_not(&scene), "pg_hba.conf: ");
    postgres.write("pg_hba.conf", &rules).unwrap();

    postgres.write("fault.conf", "work_mem = 'lots'\n").unwrap();
    starts(&why_not(&scene), "configuration files: ");
    postgres.write("fault.conf", "max_connections = 120\n").unwrap();
    postgres.reload().unwrap();
    starts(&why_not(&scene), "settings that wait for a restart: max_connections");
    postgres.write("fault.conf", "").unwrap();
    postgres.reload().unwrap();

    let login = scene.login("coordinator", "renderflow");
    let session = Sessions::open(postgres, &login, 1).unwrap();
    session.run("begin; insert into jobs (payload) values ('x'); prepare transaction 'half'").unwrap();
    starts(&why_not(&scene), "prepared transactions: ");
    postgres.sql_in(DATABASE, "rollback prepared 'half'").unwrap();
    assert_eq!(why_not(&scene), None, "each gate is open again");
}

#[test]
fn a_base_backup_under_way_closes_its_gate() {
    let scene = Scene::new();
    let postgres = scene.server.lab().postgres();
    let folder = scene.server.folder().join("backup");
    let mut backup = std::process::Command::new(postgres.program("pg_basebackup").unwrap())
        .args([
            "-h",
            "127.0.0.1",
            "-U",
            "replicator",
            "--checkpoint=fast",
            "--max-rate=32k",
            "--no-sync",
            "-D",
        ])
        .arg(&folder)
        .args(["-p", &postgres.port().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    scene.server.wait_until("select 1 from pg_stat_progress_basebackup where phase like 'streaming%'", 1);
    let why = why_not(&scene);
    backup.kill().unwrap();
    backup.wait().unwrap();
    starts(&why, "base backup: one runs");
}

#[test]
fn what_cannot_be_read_counts_as_closed() {
    let scene = Scene::new();
    let blind = Service { window: Window::Off, ..scene.service.clone() };
    let e = look(&scene, &blind);
    for action in [Action::RestartDb, Action::StartDb] {
        let why = barred(&e, &action).unwrap();
        assert!(why.contains("counts as closed"), "{action:?}: {why}");
    }
    // A role that may not read the server's files.
    let plain = Service { direct: None, ..scene.server.service("renderflow") };
    let why = barred(&look(&scene, &plain), &Action::RestartDb).unwrap();
    assert!(why.contains("counts as closed"), "{why}");
    // Nobody is let in at all.
    let stranger = Service { direct: None, ..scene.server.service("nobody_of_this_name") };
    let why = barred(&look(&scene, &stranger), &Action::RestartDb).unwrap();
    assert!(why.contains("counts as closed"), "{why}");
    // A server that runs is not started beside itself.
    let why = barred(&look(&scene, &scene.service), &Action::StartDb).unwrap();
    assert!(why.starts_with("no server runs: "), "{why}");
}
