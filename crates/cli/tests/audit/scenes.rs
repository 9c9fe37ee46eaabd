//! Each weakness on a real server that is else set well: made, found alone, gone again.

use crate::reference::{BUDGET, well_set};
use crate::scene::{Scene, finding, found};
use pgmedic_lab::certificates::Validity;
use pgmedic_lab::pgbouncer::STATS_ROLE;
use pgmedic_lab::postgres::PASSWORD;
use pgmedic_lab::{Parts, PoolerSize};
use pgmedic_path::Proof;
use pgmedic_path::audit::weaknesses;
use std::collections::BTreeSet;

/// Makes a weakness.
type Make = fn(&Scene);

/// The weaknesses that need nothing but the server.
const SCENES: &[(&str, Make)] = &[
    ("budget-overrun", |s| s.configure("", "pgmedic", &BUDGET.replace("10", "50"))),
    ("api-is-superuser", |s| s.sql("alter role renderflow superuser")),
    ("role-unlimited", |s| s.sql("alter role renderflow connection limit -1")),
    ("no-own-role", |s| s.configure("", "renderflow", BUDGET)),
    ("no-reserve", |s| s.restart_adding("superuser_reserved_connections = 0\n")),
    ("timeouts-missing", |s| s.sql("alter role renderflow reset statement_timeout")),
    ("timeouts-global", |s| s.system("idle_session_timeout", "5min")),
    ("dead-peers-unnoticed", |s| s.system("tcp_user_timeout", "0")),
    ("slots-uncapped", |s| {
        s.system("max_slot_wal_keep_size", "-1");
        s.sql("select pg_create_physical_replication_slot('replica')");
    }),
    ("slot-unread", |s| s.sql("select pg_create_physical_replication_slot('old')")),
    ("temp-files-uncapped", |s| s.sql("alter role renderflow reset temp_file_limit")),
    ("crash-unsafe", |s| s.system("full_page_writes", "off")),
    ("autovacuum-off", |s| s.system("autovacuum", "off")),
    ("restart-pending", |s| s.system("max_connections", "120")),
    ("hba-open", |s| s.hba("host all all 10.0.0.0/8 trust\n")),
    ("password-expires", |s| s.sql("alter role renderflow valid until 'tomorrow'")),
];

/// Those that have a test of their own.
const ELSEWHERE: [&str; 6] = [
    "certificate-expires",
    "fills-soon",
    "pooler-contradicts",
    "proxy-idle-shorter",
    "proxy-outgrown",
    "wal-outgrows-volume",
];

/// What a scene brings about besides.
fn besides(id: &str) -> &'static [&'static str] {
    match id {
        // A slot that nobody reads yet.
        "slots-uncapped" => &["slot-unread"],
        _ => &[],
    }
}

#[test]
fn every_weakness_is_found_alone_on_a_real_server() {
    let scene = well_set(Parts::default());
    for (id, make) in SCENES {
        make(&scene);
        let report = scene.audit(&[]);
        assert_eq!(found(&report), [&[*id], besides(id)].concat(), "{report:#}");
        let human = scene.run(&[]).stdout;
        assert!(human.contains(&format!("1. {id}, ")), "{human}");
        println!("{id}: {}", report["findings"][0]["summary"]);
        scene.reset();
        assert_eq!(found(&scene.audit(&[])), Vec::<&str>::new(), "after {id}");
    }
}

#[test]
fn a_proxy_that_is_too_small_and_cuts_too_soon_is_found_by_its_own_account() {
    let scene = well_set(Parts { proxy: Some(40), ..Parts::default() });
    let plan = |idle: &str| format!("{BUDGET}pool_idle = \"{idle}\"\n");
    scene.configure("", "pgmedic", &plan("20s"));
    let report = scene.audit(&[]);
    assert_eq!(found(&report), ["proxy-outgrown"]);
    let change = &finding(&report, "proxy-outgrown")["changes"][0];
    assert_eq!((change["by"].as_str(), change["statement"].as_str()), (Some("line"), Some("maxconn 100")));
    scene.configure("", "pgmedic", &plan("2h").replace("10", "3"));
    let report = scene.audit(&[]);
    assert_eq!(found(&report), ["proxy-idle-shorter"]);
    assert_eq!(report["findings"][0]["confidence"], "certain");
    scene.configure("", "pgmedic", &plan("30m").replace("10", "3"));
    assert_eq!(found(&scene.audit(&[])), Vec::<&str>::new());
}

#[test]
fn a_pooler_that_contradicts_the_pools_is_found_by_its_console() {
    let scene = well_set(Parts { pooler: Some(PoolerSize { pool: 10, clients: 40 }), ..Parts::default() });
    let port = scene.lab.pooler().unwrap().port();
    let console = format!("pooler = \"postgres://{STATS_ROLE}:{PASSWORD}@127.0.0.1:{port}/pgbouncer\"\n");
    let budget = |wait: &str| format!("{BUDGET}pool_wait = \"{wait}\"\n");
    // The pooler knows the API's role and not pgmedic's: the walk goes around it.
    let way = |budget: &str| scene.configure(&console, "monitor", budget);
    scene.rescue(true);
    way(&budget("10s"));
    let report = scene.audit(&[]);
    assert_eq!(found(&report), ["proxy-outgrown", "pooler-contradicts"], "{report:#}");
    assert_eq!(report["budget"]["terms"][0]["from"], "SHOW POOLS, SHOW DATABASES");
    way(&budget("3m").replace("10", "3"));
    assert_eq!(found(&scene.audit(&[])), Vec::<&str>::new());
}

#[test]
fn needs_root_wal_that_outgrows_its_volume_is_found() {
    let scene = well_set(Parts { volume_mb: Some(400), ..Parts::default() });
    // The volume has the data, WAL lies beside it: back to one volume.
    scene.wal_onto_the_volume();
    let report = scene.audit(&[]);
    assert_eq!(found(&report), ["wal-outgrows-volume"], "{report:#}");
    scene.psql(&scene.run(&["--sql"]).stdout);
    assert_eq!(found(&scene.audit(&[])), Vec::<&str>::new());
}

#[test]
fn every_weakness_that_says_so_is_proved_here() {
    let proved: BTreeSet<&str> = SCENES.iter().map(|(id, _)| *id).chain(ELSEWHERE).collect();
    let promised: BTreeSet<&str> =
        weaknesses::all().filter(|w| w.proof == Proof::Drill).map(|w| w.id).collect();
    assert_eq!(proved, promised);
}

#[test]
fn a_certificate_that_ends_soon_is_found_over_tls() {
    let scene = well_set(Parts { tls: true, ..Parts::default() });
    assert_eq!(found(&scene.audit(&[])), Vec::<&str>::new());
    let (postgres, authority) = (scene.lab.postgres(), scene.lab.authority().unwrap());
    postgres.show_certificate(authority, pgmedic_lab::dns::NAME, Validity::EndsSoon).unwrap();
    postgres.reload().unwrap();
    let report = scene.audit(&[]);
    assert_eq!(found(&report), ["certificate-expires"]);
    assert_eq!(report["findings"][0]["nearness"], "weeks");
}
