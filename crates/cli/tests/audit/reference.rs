//! `docs/reference-configuration.md`, applied as it stands there: an audit finds nothing.

use crate::scene::{Scene, found};
use pgmedic_lab::Parts;
use pgmedic_lab::postgres::PASSWORD;

/// The budget of the document.
pub(crate) const BUDGET: &str = "role = \"renderflow\"\nmachines = 3\npool_max = 10\nworkers = 2\n";

/// The document's blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let text = include_str!("../../../../docs/reference-configuration.md");
    let opened = format!("```{language}\n");
    text.split(&opened).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A lab that is set as the document says, audited by the role `pgmedic`, without a rescue role.
pub(crate) fn well_set(parts: Parts) -> Scene {
    let scene = Scene::new(parts);
    scene.restart_with(&blocks("ini")[0]);
    let sql = blocks("sql");
    scene.psql(&format!("\\set ON_ERROR_STOP on\n{}", sql[0]));
    let newest = scene
        .lab
        .postgres()
        .value("select (current_setting('server_version_num')::int >= 170000)::text")
        .unwrap();
    if newest == "true" {
        scene.sql(&sql[1]);
    }
    scene.sql(&format!("alter role pgmedic password '{PASSWORD}'"));
    scene.hba("");
    scene.rescue(false);
    scene.configure("", "pgmedic", BUDGET);
    scene
}

/// The rules of the document, and those that let the lab in.
pub(crate) fn hba() -> String {
    format!("{}host all all 127.0.0.0/8 scram-sha-256\n", blocks("text")[0])
}

#[test]
fn the_reference_configuration_has_no_weakness() {
    let scene = well_set(Parts::default());
    let report = scene.audit(&[]);
    assert_eq!(found(&report), Vec::<&str>::new(), "{report:#}");
    assert_eq!(report["status"], "ok");
    let budget = &report["budget"];
    assert_eq!((budget["wanted"].as_u64(), budget["allowed"].as_u64()), (Some(61), Some(80)));
    for unseen in report["unseen"].as_array().unwrap() {
        let unseen = unseen.as_str().unwrap();
        for told in ["settings and roles", "the next start", "pg_hba.conf", "connection budget", "sessions"] {
            assert!(!unseen.starts_with(told), "{unseen}");
        }
    }
    assert!(scene.run(&[]).stdout.contains("Nothing is weak in what could be seen."));
    assert_eq!(scene.run(&["--diff"]).stdout, "");
}
