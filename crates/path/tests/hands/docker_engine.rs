//! Docker, by a real engine of the test's own and a real Postgres in it.

use crate::contract::{AMPLE, run, within};
use pgmedic_lab::LabError;
use pgmedic_lab::docker::{DATA, Docker as Engine};
use pgmedic_model::Deed;
use pgmedic_path::hands::docker::DockerHands;
use pgmedic_path::hands::{Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use pgmedic_path::platform::docker::Docker;
use std::io::Write;
use std::sync::Arc;

/// The engine; None where this machine does not let one run, which is said and counted (`scripts/test`).
fn engine() -> Option<Engine> {
    match Engine::start() {
        Ok(engine) => Some(engine),
        Err(why @ LabError::Ended { .. }) => {
            // Past the capture of a test that passes.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "not run: a Docker engine, which this machine does not let run: {why}").unwrap();
            None
        }
        Err(why) => panic!("{why}"),
    }
}

fn started_at(engine: &Engine, name: &str) -> String {
    engine.inspect(name, "{{.State.StartedAt}}").unwrap()
}

fn answers(engine: &Engine) -> bool {
    engine.ask(&["exec", "pg", "psql", "-h", DATA, "-U", "postgres", "-Atc", "select 1"]).is_ok()
}

#[test]
fn needs_root_a_real_engine_restarts_one_container_starts_it_and_lets_it_go_on() {
    let Some(engine) = engine() else { return };
    let healthy = format!("psql -h {DATA} -U postgres -Atc 'select 1'");
    let health = ["--health-cmd", &healthy, "--health-interval", "300ms", "--health-retries", "2"];
    let mut options = health.to_vec();
    options.extend(["--stop-signal", "SIGINT"]);
    engine.run_postgres("pg", &options).unwrap_or_else(|why| panic!("{why}"));
    engine.run("api", &[], &["sleep", "1000"]).unwrap();
    let docker = Docker::new(&engine.host(), Some("api".to_owned()), Some("pg".to_owned())).unwrap();
    let hands = DockerHands::new(Arc::new(docker), None);
    let target = |deed| run(hands.targets(deed, within(AMPLE))).unwrap().remove(0);

    let (pg, api) = (started_at(&engine, "pg"), started_at(&engine, "api"));
    let db = target(Deed::RestartDb);
    let done = run(hands.act(&Order::Restart(Part::Db, db.clone()), within(AMPLE))).unwrap();
    assert_eq!(done.said, "restart of container pg: it is Up (healthy)");
    assert!(answers(&engine) && started_at(&engine, "pg") > pg, "it was restarted and answers");
    assert_eq!(started_at(&engine, "api"), api, "and nothing else was");

    engine.ask(&["stop", "-t", "20", "pg"]).unwrap();
    let done = run(hands.act(&Order::StartDb(target(Deed::StartDb)), within(AMPLE))).unwrap();
    assert!(done.said.starts_with("start of container pg") && answers(&engine), "{done:?}");
    engine.ask(&["pause", "pg"]).unwrap();
    run(hands.act(&Order::StartDb(target(Deed::StartDb)), within(AMPLE))).unwrap();
    assert!(answers(&engine));

    let gone = Target { id: "0".repeat(64), ..db };
    let end = run(hands.act(&Order::Restart(Part::Db, gone), within(AMPLE)));
    assert!(matches!(end, Err(Undone::Refused { .. })), "{end:?}");
    ends_at_once(&engine);
}

/// A container that ends as soon as it is started runs for no second.
fn ends_at_once(engine: &Engine) {
    let script = "[ -e /tmp/seen ] && exit 3; touch /tmp/seen; sleep 1000";
    engine.run("short", &[], &["sh", "-c", script]).unwrap();
    let docker = Docker::new(&engine.host(), Some("short".to_owned()), None).unwrap();
    let hands = DockerHands::new(Arc::new(docker), None);
    let target = run(hands.targets(Deed::RestartApi, within(AMPLE))).unwrap().remove(0);
    let order = Order::Restart(Part::Api, target);
    let end = run(hands.act(&order, within(std::time::Duration::from_secs(6))));
    let Err(Undone::Unknown { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.contains("it is Exited (3)"), "{why}");
}
