//! Docker, by a real engine of the test's own and a real Postgres in it: what it tells in every state.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pgmedic_lab::LabError;
use pgmedic_lab::docker::{DATA, Docker as Engine};
use pgmedic_path::platform::docker::Docker;
use pgmedic_path::platform::told::{CheckStatus, Instance, InstanceState, PlatformVolume};
use pgmedic_path::platform::{Part, Platform};
use std::io::Write;
use std::time::{Duration, Instant as Clock};
use tokio::time::Instant;

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

/// What the window tells, asked from ordinary code.
struct Window {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Window {
    fn docker(&self, name: &str) -> Docker {
        Docker::new(&self.engine.host(), Some(name.to_owned()), Some(name.to_owned())).unwrap()
    }

    fn instance(&self, name: &str) -> Instance {
        let docker = self.docker(name);
        let told = self.runtime.block_on(docker.instances(Part::Db, soon()));
        let mut told = told.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    /// Looks until it is so.
    fn until(&self, name: &str, so: impl Fn(&Instance) -> bool) -> Instance {
        let end = Clock::now() + Duration::from_secs(20);
        loop {
            let seen = self.instance(name);
            if so(&seen) {
                return seen;
            }
            assert!(Clock::now() < end, "in twenty seconds: {seen:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self, name: &str, part: Part) -> String {
        let docker = self.docker(name);
        self.runtime.block_on(docker.log(part, soon())).unwrap()
    }

    fn volumes(&self, name: &str) -> Vec<PlatformVolume> {
        let docker = self.docker(name);
        self.runtime.block_on(docker.volumes(soon())).unwrap()
    }

    fn ask(&self, arguments: &[&str]) {
        self.engine.ask(arguments).unwrap_or_else(|why| panic!("{arguments:?}: {why}"));
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn needs_root_a_real_engine_tells_of_a_real_postgres_in_every_state() {
    let Some(engine) = engine() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let window = Window { engine, runtime };
    runs_and_is_stopped(&window);
    is_killed_and_out_of_memory(&window);
    loops_and_is_paused(&window);
    is_found_by_its_service(&window);
}

fn runs_and_is_stopped(window: &Window) {
    let healthy = format!("psql -h {DATA} -U postgres -Atc 'select 1'");
    let labels =
        ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=database"];
    let mut options = vec!["--health-cmd", &healthy, "--health-interval", "200ms", "--health-retries", "1"];
    options.extend(labels);
    options.extend(["--label", "com.docker.compose.oneoff=False", "-e", "POSTGRES_PASSWORD=hunter2"]);
    window.engine.run_postgres("pg", &options).unwrap_or_else(|why| panic!("{why}"));
    let seen =
        window.until("pg", |seen| seen.checks.first().is_some_and(|c| c.status == CheckStatus::Passing));
    assert_eq!(
        (seen.state, seen.word.as_str(), seen.restarts),
        (InstanceState::Running, "Up (healthy)", Some(0))
    );
    assert!(
        seen.started_at.is_some() && seen.exit.is_none() && !format!("{seen:?}").contains("hunter2"),
        "{seen:?}"
    );

    let log = window.log("pg", Part::Db);
    assert!(log.contains("LOG:  database system is ready to accept connections"), "{log}");
    assert!(window.log("pg", Part::Api).lines().all(|line| line.starts_with("20") && line.contains("Z ")));

    let volumes = window.volumes("pg");
    assert_eq!((volumes.len(), volumes[0].name.as_str()), (1, "pg-data"));
    let seen = volumes[0].filesystem.as_ref().unwrap_or_else(|| panic!("{volumes:?}"));
    let source =
        window.engine.inspect("pg", "{{(index .Mounts 0).Source}}{{(index .Mounts 1).Source}}").unwrap();
    assert!(
        seen.total_bytes > 0 && seen.available_bytes > 0 && source.contains(&seen.path),
        "{seen:?}\n{source}"
    );

    // Postgres is asked to end by SIGTERM and ends by itself.
    window.ask(&["stop", "-t", "20", "pg"]);
    let seen = window.instance("pg");
    assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Stopped, "Exited (0)"), "{seen:?}");
    let exit = seen.exit.unwrap();
    assert!(exit.code == Some(0) && exit.at.is_some() && !exit.out_of_memory, "{exit:?}");
    assert!(window.volumes("pg")[0].filesystem.is_some(), "a stopped container's volume is seen, too");
}

fn is_killed_and_out_of_memory(window: &Window) {
    window.ask(&["start", "pg"]);
    window.ask(&["kill", "-s", "KILL", "pg"]);
    let seen = window.until("pg", |seen| seen.state != InstanceState::Running);
    assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Failed, "Exited (137)"));
    assert!(seen.exit.is_some_and(|exit| exit.signal == Some(9) && !exit.out_of_memory));

    window
        .engine
        .run("hungry", &["--memory", "16m", "--memory-swap", "16m"], &["tail", "/dev/zero"])
        .unwrap();
    let seen = window.until("hungry", |seen| seen.state != InstanceState::Running);
    assert_eq!(seen.state, InstanceState::Failed);
    assert!(seen.exit.as_ref().is_some_and(|exit| exit.out_of_memory && exit.signal == Some(9)), "{seen:?}");

    // What cannot even start.
    assert!(window.engine.run("wrong", &[], &["no-such-program"]).is_err());
    let seen = window.instance("wrong");
    assert_eq!(seen.state, InstanceState::Failed, "{seen:?}");
    assert!(seen.remarks[0].contains("no-such-program"), "{seen:?}");
    assert!(window.volumes("wrong")[0].word.starts_with("no volume"), "{:?}", window.volumes("wrong"));
}

fn loops_and_is_paused(window: &Window) {
    window.engine.run("loops", &["--restart", "always"], &["sh", "-c", "exit 3"]).unwrap();
    let seen = window.until("loops", |seen| {
        seen.state == InstanceState::Starting && seen.restarts.is_some_and(|count| count >= 2)
    });
    assert_eq!((seen.word.as_str(), seen.exit.and_then(|exit| exit.code)), ("Restarting (3)", Some(3)));
    window.ask(&["stop", "-t", "1", "loops"]);
    let seen = window.instance("loops");
    assert!(
        seen.state == InstanceState::Stopped && seen.exit.as_ref().is_some_and(|exit| exit.requested),
        "{seen:?}"
    );

    let sick =
        ["--health-cmd", "echo no room; exit 1", "--health-interval", "100ms", "--health-retries", "1", "-t"];
    window.engine.run("sick", &sick, &["sh", "-c", "echo Database not initialised; sleep 1000"]).unwrap();
    let seen = window.until("sick", |seen| seen.checks[0].status == CheckStatus::Critical);
    assert!(seen.word == "Up (unhealthy)" && seen.checks[0].output.contains("no room"), "{seen:?}");
    // A terminal's log has no frames.
    let log = window.log("sick", Part::Api);
    assert!(log.trim_end().ends_with("Z Database not initialised"), "{log:?}");
    window.ask(&["pause", "sick"]);
    let seen = window.instance("sick");
    assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Stopped, "paused"));
    assert!(seen.by_hand.start.ends_with("unpause sick"), "{:?}", seen.by_hand);
}

fn is_found_by_its_service(window: &Window) {
    for name in ["database", "shop/database"] {
        assert_eq!(window.instance(name).name, "pg", "{name}");
    }
    // An id's beginning is no name.
    let id = window.instance("pg").id;
    let docker = window.docker(&id[..6]);
    let told = window.runtime.block_on(docker.instances(Part::Db, soon()));
    assert!(told.is_err_and(|why| why.to_string().contains("no compose service")));
}
