//! The show: the example at its defaults with three machines and two workers, on a Postgres with 25 connections.

use crate::scene::{Scene, finding, found, undos};
use pgmedic_lab::Parts;
use pgmedic_lab::postgres::DATABASE;

/// The example's own configuration, and its schema.
const CONFIGURATION: &str = include_str!("../../../../examples/renderflow/pgmedic.toml");
const SCHEMA: &str = include_str!("../../../../examples/renderflow/migrations/0001_render_jobs.sql");

/// `[service.budget]` of the example: three machines at the pool's defaults; and two workers beside them.
fn budget() -> String {
    let (_, rest) = CONFIGURATION.split_once("[service.budget]").unwrap();
    let (_, keys) = rest.split_once('\n').unwrap();
    let (keys, _) = keys.split_once("\n[").unwrap();
    assert!(keys.contains("machines = 3\n") && keys.contains("pool_max = 10\n"), "{keys}");
    format!("{keys}\nworkers = 2\n")
}

/// The example: its schema, and its API a superuser, as Fly's attach makes it; a replica has a slot.
fn example() -> Scene {
    let scene = Scene::new(Parts::default());
    scene.restart_with("max_connections = 25\n");
    scene.sql("alter role renderflow superuser");
    scene.lab.postgres().sql_in(DATABASE, SCHEMA).unwrap();
    scene.sql("select pg_create_physical_replication_slot('replica', true)");
    scene.configure("", "renderflow", &budget());
    scene
}

#[test]
fn the_example_is_audited_mended_by_the_script_and_clean_but_for_what_a_person_decides() {
    let scene = example();
    let report = scene.audit(&[]);
    let ids = found(&report);
    for id in ["budget-overrun", "api-is-superuser", "timeouts-missing", "slots-uncapped", "role-unlimited"] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
    assert_eq!(report["status"], "critical");
    assert_eq!(ids[0], "budget-overrun", "it breaks first: {ids:?}");
    let budget = &report["budget"];
    assert_eq!((budget["wanted"].as_u64(), budget["allowed"].as_u64()), (Some(63), Some(22)));
    assert_eq!(budget["largest_pool"], 3);
    let human = scene.run(&[]).stdout;
    println!("{human}");
    assert!(human.contains("1. budget-overrun, at the next peak or deploy (certain)"), "{human}");

    let script = scene.run(&["--sql"]).stdout;
    println!("{script}\n{}", scene.run(&["--diff"]).stdout);
    assert_eq!(found(&scene.audit(&[])), ids, "an audit changes nothing");
    scene.psql(&script);

    let after = scene.audit(&[]);
    let left = after["findings"].as_array().unwrap().iter();
    for f in left {
        let changes = f["changes"].as_array().unwrap();
        let by_sql = changes.iter().any(|c| c["by"] == "sql");
        assert!(!by_sql, "the script left something that it could mend: {f:#}");
    }
    assert!(found(&after).contains(&"budget-overrun"), "the pool's size is a person's: {:?}", found(&after));
    let again = scene.run(&["--sql"]).stdout;
    assert!(again.contains("-- 0 statement(s)"), "{again}");

    // And back: each undo brings back what was.
    scene.psql(&undos(&script));
    assert_eq!(found(&scene.audit(&[])), ids);
}

#[test]
fn a_person_who_takes_the_advised_pool_is_within_the_budget() {
    let scene = example();
    scene.psql(&scene.run(&["--sql"]).stdout);
    let size =
        finding(&scene.audit(&[]), "budget-overrun")["changes"][0]["advised"].as_str().unwrap().to_owned();
    let size = size.strip_prefix("max ").unwrap();
    scene.configure("", "renderflow", &budget().replace("pool_max = 10", &format!("pool_max = {size}")));
    assert!(!found(&scene.audit(&[])).contains(&"budget-overrun"));
}
