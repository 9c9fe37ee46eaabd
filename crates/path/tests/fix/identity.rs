//! Between the look and the act a session goes, comes back, moves, or was never what it seemed: it lives.

use crate::scene::Scene;
use pgmedic_lab::process;
use pgmedic_model::{Action, Protect, SessionClass, SessionRef, StepOutcome};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn ended(came: &pgmedic_path::apply::Came) -> usize {
    came.sessions.iter().filter(|s| s.terminated).count()
}

#[test]
fn only_the_session_that_was_looked_at_is_ended() {
    let scene = Scene::new();
    let _held = scene.idle(&scene.login("renderflow-api", "renderflow"), 3);
    let (evidence, all) = (scene.walk(), scene.named("application_name = 'renderflow-api'"));
    type Forge = fn(&mut SessionRef);
    let forgeries: [(&str, Forge); 6] = [
        ("another backend_start", |s| s.backend_start = "2026-01-01 00:00:00.000001+00".into()),
        ("a later moment of the same second", |s| s.backend_start = later(&s.backend_start)),
        ("another application", |s| s.application_name = "renderflow-apj".into()),
        ("another role", |s| s.usename = "monitor".into()),
        ("another pid", |s| s.pid += 100_000),
        ("another moment", |s| s.state_change = "2026-01-01 00:00:00+00".into()),
    ];
    for (what, forge) in forgeries {
        let mut forged = all.clone();
        forged.iter_mut().for_each(forge);
        let came = scene.end(&evidence, &forged, SessionClass::Idle);
        assert_eq!((ended(&came), came.outcome), (0, StepOutcome::NotNeeded), "{what}: {}", came.detail);
    }
    for class in [SessionClass::Active, SessionClass::IdleInTransaction] {
        assert_eq!(ended(&scene.end(&evidence, &all, class)), 0, "{class:?}");
    }
    assert_eq!(scene.there("application_name = 'renderflow-api'").len(), 3);
    let came = scene.end(&evidence, &all, SessionClass::Idle);
    assert_eq!((ended(&came), came.outcome), (3, StepOutcome::Applied), "{}", came.detail);
    assert!(scene.there("application_name = 'renderflow-api'").is_empty());
}

/// The same with the last digit of its fraction counted on.
fn later(instant: &str) -> String {
    let (head, digit) = instant.strip_suffix("+00").unwrap().split_at(instant.len() - 4);
    format!("{head}{}+00", (digit.parse::<u8>().unwrap() + 1) % 10)
}

#[test]
fn needs_root_a_pid_that_another_session_has_by_now_is_let_be() {
    let scene = Scene::new();
    let login = scene.login("renderflow-api", "renderflow");
    let deadline = Instant::now() + Duration::from_secs(20);
    // The kernel gives out the pid after the one that stands there (proc(5)); somebody may be quicker.
    loop {
        assert!(Instant::now() < deadline, "the pid was never given out again");
        let evidence = scene.walk();
        let first = scene.idle(&login, 1);
        let old = scene.named("application_name = 'renderflow-api'");
        drop(first);
        std::fs::write("/proc/sys/kernel/ns_last_pid", (old[0].pid - 1).to_string()).unwrap();
        let _second = scene.idle(&login, 1);
        let new = scene.named("application_name = 'renderflow-api'");
        if new[0].pid != old[0].pid {
            continue;
        }
        assert_ne!(new[0].backend_start, old[0].backend_start);
        // All but its birth is as it was.
        let seen = SessionRef { backend_start: old[0].backend_start.clone(), ..new[0].clone() };
        assert_eq!(ended(&scene.end(&evidence, &[seen], SessionClass::Idle)), 0);
        assert_eq!(scene.there("application_name = 'renderflow-api'").len(), 1);
        return;
    }
}

#[test]
fn one_that_moved_lives_also_where_it_rests_again() {
    let scene = Scene::new();
    let login = scene.login("renderflow-api", "renderflow");
    let (busy, moved) = (scene.idle(&login, 2), scene.idle(&login, 2));
    let _still = scene.idle(&login, 2);
    let (evidence, all) = (scene.walk(), scene.named("application_name = 'renderflow-api'"));
    busy.begin("select pg_sleep(600)");
    busy_now(&scene, 2);
    moved.run("select 1").unwrap();
    // Until each has rested for longer than it had when it was looked at.
    let longest = all.iter().map(|s| s.state_ms).fold(0.0, f64::max);
    moved.wait_age(Duration::from_secs_f64(longest / 1000.0 + 0.2)).ok();
    let rested = format!("state = 'idle' and clock_timestamp() - state_change > interval '{longest} ms'");
    wait(&scene, &format!("application_name = 'renderflow-api' and {rested}"), 4);
    let came = scene.end(&evidence, &all, SessionClass::Idle);
    let left = scene.there("application_name = 'renderflow-api'");
    let harm: Vec<_> =
        all[..4].iter().filter(|s| !left.contains(&(s.pid, s.backend_start.clone()))).collect();
    assert!(harm.is_empty(), "{}: {harm:?}", came.detail);
    assert_eq!((ended(&came), left.len()), (2, 4), "{}", came.detail);
}

fn busy_now(scene: &Scene, count: usize) {
    wait(scene, "state = 'active' and application_name = 'renderflow-api'", count);
}

fn wait(scene: &Scene, condition: &str, count: usize) {
    scene.server.wait_until(&format!("select 1 from pg_stat_activity where {condition}"), count);
}

#[test]
fn a_statement_is_cancelled_only_while_it_is_the_one_that_was_seen() {
    let scene = Scene::new();
    let login = scene.login("renderflow-api", "renderflow");
    let (first, second) = (scene.idle(&login, 1), scene.idle(&login, 1));
    first.begin("select pg_sleep(0.3)");
    second.begin("select pg_sleep(601)");
    busy_now(&scene, 2);
    let evidence = scene.walk();
    let all = scene.named("application_name = 'renderflow-api'");
    wait(&scene, "state = 'idle' and application_name = 'renderflow-api'", 1);
    first.begin("select pg_sleep(602)");
    wait(
        &scene,
        "query like '%602%' and state = 'active' and clock_timestamp() - state_change > interval '0.5 s' \
                  and pid <> pg_backend_pid()",
        1,
    );
    let came = scene.apply(&evidence, &Action::Cancel { sessions: all });
    assert_eq!((ended(&came), came.outcome), (1, StepOutcome::Applied), "{}", came.detail);
    assert_eq!(scene.there("query like '%602%' and state = 'active'").len(), 1, "another statement");
    assert_eq!(scene.there("application_name = 'renderflow-api'").len(), 2, "both sessions live on");
}

#[test]
fn whoever_may_never_be_ended_lives_though_evidence_names_them() {
    let mut scene = Scene::new();
    scene.service.policy.protect = Protect {
        applications: vec!["billing*".into(), "o'neil \\ \"x\"".into()],
        roles: vec!["pay*".into()],
    };
    scene.server.sql(
        "create role payroll login; create role odd_rep login replication; \
                      grant connect on database renderflow to payroll, odd_rep",
    );
    scene.server.hba("host all payroll,odd_rep 127.0.0.0/8 trust");
    let of = |application: &str, role: &str| scene.idle(&scene.login(application, role), 1);
    let _spared = [
        of("a-superuser", "rescue"),
        of("a-replicating", "odd_rep"),
        of("a-replicator", "replicator"),
        of("pgmedic-watch", "monitor"),
        of("billing-7", "renderflow"),
        of("o'neil \\ \"x\"", "renderflow"),
        of("a-payroll", "payroll"),
    ];
    let locking = of("a-locking", "renderflow");
    locking.run("select pg_advisory_lock(7)").unwrap();
    let _ordinary = of("z-ordinary", "renderflow");
    let evidence = scene.walk();
    let all = scene.named("backend_type = 'client backend' and application_name <> 'pgmedic'");
    assert_eq!(all.len(), 9, "{all:?}");
    for class in [SessionClass::Idle, SessionClass::Ghost] {
        let came = scene.end(&evidence, &all, class);
        assert_eq!(ended(&came), usize::from(class == SessionClass::Idle), "{class:?}: {}", came.detail);
    }
    let left = scene.there("backend_type = 'client backend' and application_name <> 'pgmedic'");
    let should = all.iter().filter(|s| s.application_name != "z-ordinary");
    let should: BTreeSet<_> = should.map(|s| (s.pid, s.backend_start.clone())).collect();
    assert_eq!(left, should);
}

#[test]
fn servers_own_processes_and_walsenders_live_though_evidence_names_them() {
    let scene = Scene::new();
    let postgres = scene.server.lab().postgres();
    let folder = scene.server.folder().join("standby");
    std::fs::create_dir(&folder).unwrap();
    let program = postgres.program("pg_receivewal").unwrap();
    let mut receiver = std::process::Command::new(program)
        .args(["-h", "127.0.0.1", "-U", "replicator", "--no-loop", "-D"])
        .arg(&folder)
        .args(["-p", &postgres.port().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait(&scene, "backend_type = 'walsender' and state = 'active'", 1);
    let evidence = scene.walk();
    let mut all = Vec::new();
    for row in postgres
        .sql(
            "select pid, backend_start, coalesce(application_name, ''), coalesce(usename, ''), \
        coalesce(state_change, backend_start) from pg_stat_activity where backend_type <> 'client backend'",
        )
        .unwrap()
    {
        let text = |at: usize| row[at].clone().unwrap_or_default();
        all.push(SessionRef {
            pid: text(0).parse().unwrap(),
            backend_start: text(1),
            application_name: text(2),
            usename: text(3),
            state_change: text(4),
            ..SessionRef::default()
        });
    }
    assert!(all.len() >= 5, "{all:?}");
    for class in [SessionClass::Idle, SessionClass::Active, SessionClass::Ghost] {
        assert_eq!(ended(&scene.end(&evidence, &all, class)), 0, "{class:?}");
    }
    assert_eq!(
        scene.apply(&evidence, &Action::Cancel { sessions: all.clone() }).outcome,
        StepOutcome::NotNeeded
    );
    let left = postgres
        .sql("select pid, backend_start from pg_stat_activity where backend_type <> 'client backend'");
    let left: Vec<_> = left.unwrap().into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let gone =
        all.iter().filter(|s| !left.contains(&(Some(s.pid.to_string()), Some(s.backend_start.clone()))));
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&SessionRef>::new());
    receiver.kill().unwrap();
    receiver.wait().unwrap();
}

#[test]
fn a_session_that_does_not_go_is_named_and_the_others_are_let_be() {
    let scene = Scene::new();
    let _held = scene.idle(&scene.login("renderflow-api", "renderflow"), 12);
    let (evidence, all) = (scene.walk(), scene.named("application_name = 'renderflow-api'"));
    let stopped = u32::try_from(all[3].pid).unwrap();
    process::send(stopped, Signal::STOP).unwrap();
    let came = scene.end(&evidence, &all, SessionClass::Idle);
    process::send(stopped, Signal::CONT).unwrap();
    assert_eq!(came.outcome, StepOutcome::Failed, "{}", came.detail);
    assert!(
        came.detail.contains(&format!("pid {stopped} was signalled and is still there")),
        "{}",
        came.detail
    );
    assert!(!came.sessions[3].terminated && ended(&came) == 9, "{}", came.detail);
    assert!(came.sessions[10..].iter().all(|s| !s.terminated), "the next batch is not begun");
}
