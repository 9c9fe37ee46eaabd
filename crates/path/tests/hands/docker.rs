//! Docker, by a scripted engine that keeps two containers and serves shapes recorded from 20.10.24. The real engine acts in
//! `docker_engine`.

use crate::contract::{AMPLE, Case, Double, RUNTIME, SECRET, holds, run, within};
use crate::http_double::{Asked, Reply, Route, serve};
use pgmedic_model::Deed;
use pgmedic_path::hands::docker::DockerHands;
use pgmedic_path::hands::{Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use pgmedic_path::platform::docker::Docker;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixListener;

/// A container of the engine's.
#[derive(Clone, Debug)]
struct Container {
    name: &'static str,
    status: &'static str,
    health: Option<&'static str>,
    starts: u32,
}

/// What the engine keeps.
#[derive(Debug)]
struct State {
    containers: Vec<Container>,
    asked: Vec<String>,
    how: How,
}

/// How it takes what it is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Well,
    /// It answers with this status, and has done nothing.
    Refuses(u16),
    /// It stops the container, cannot start it, and says so with this status.
    Halfway(u16),
    /// It does it and never answers.
    Hangs,
    /// It does it and answers with this status.
    Says(u16),
}

struct Engine {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl Engine {
    fn start(how: How) -> Self {
        let container =
            |name: &'static str| Container { name, status: "running", health: Some("healthy"), starts: 0 };
        let containers = ["renderflow-api", "db", "haproxy"].map(container).to_vec();
        let state = Arc::new(Mutex::new(State { containers, asked: Vec::new(), how }));
        let folder = tempfile::tempdir().unwrap();
        let _inside = RUNTIME.enter();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let shared = Arc::clone(&state);
        let route: Route = Arc::new(move |asked: &Asked| answer(&mut locked(&shared), asked));
        let task = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&route)));
            }
        });
        Self { folder, state, task }
    }

    fn hands(&self) -> DockerHands {
        let host = format!("unix://{}/docker.sock", self.folder.path().display());
        let docker = Docker::new(&host, Some("renderflow-api".to_owned()), Some("db".to_owned())).unwrap();
        DockerHands::new(Arc::new(docker), Some("haproxy".to_owned()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut locked(&self.state))
    }

    fn posts(&self) -> Vec<String> {
        self.with(|state| state.asked.iter().filter(|asked| asked.starts_with("POST")).cloned().collect())
    }
}

fn account(one: &Container) -> Value {
    let started = format!("2026-11-23T03:{:02}:00.422151321Z", one.starts);
    json!({ "Id": format!("id-{}", one.name), "Name": format!("/{}", one.name), "RestartCount": 0,
        "State": { "Status": one.status, "ExitCode": 0, "Error": "", "OOMKilled": false, "StartedAt": started,
            "FinishedAt": "0001-01-01T00:00:00Z", "Health": one.health.map(|status| json!({ "Status": status, "Log": [] })) },
        "Config": { "Tty": false, "Env": [format!("POSTGRES_PASSWORD={SECRET}")], "Labels": {} },
        "HostConfig": { "RestartPolicy": { "Name": "no" } }, "Mounts": [] })
}

fn says(status: u16, message: &str) -> Reply {
    Reply::Says(status, json!({ "message": message }).to_string().into_bytes())
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let resource = asked.resource.clone();
    state.asked.push(format!("{} {resource}", asked.method));
    if resource == "/version" {
        return Reply::ok(r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#);
    }
    let path = resource.strip_prefix("/v1.41/containers/").unwrap_or_default();
    if path.starts_with("json?") {
        let named = |one: &&Container| path.contains(&format!("%22{}%22", one.name.replace('-', "%2D")));
        let listed = |one: &Container| json!({ "Id": format!("id-{}", one.name), "Names": [format!("/{}", one.name)], "Labels": {} });
        let all: Vec<Value> = state.containers.iter().filter(named).map(listed).collect();
        return Reply::ok(json!(all).to_string());
    }
    let (id, verb) = path.split_once('/').unwrap_or_default();
    let how = state.how;
    let found = state.containers.iter_mut().find(|one| format!("id-{}", one.name).replace('-', "%2D") == id);
    let Some(one) = found else { return says(404, "No such container") };
    match (asked.method.as_str(), verb.split('?').next().unwrap_or_default()) {
        ("GET", "json") => Reply::ok(account(one).to_string()),
        ("POST", "start") if one.status == "running" => Reply::Says(304, Vec::new()),
        ("POST", verb @ ("restart" | "start" | "unpause")) => act(one, verb, how),
        _ => says(404, "page not found"),
    }
}

fn act(one: &mut Container, verb: &str, how: How) -> Reply {
    match how {
        How::Refuses(status) => {
            return says(status, "authorization denied by plugin casbin: password=hunter2");
        }
        How::Halfway(status) => {
            one.status = "exited";
            return says(status, "OCI runtime create failed");
        }
        How::Well | How::Hangs | How::Says(_) => {}
    }
    one.status = "running";
    one.starts += u32::from(verb != "unpause");
    match how {
        How::Hangs => Reply::Hangs,
        How::Says(status) => says(status, "context deadline exceeded"),
        _ => Reply::Says(204, Vec::new()),
    }
}

fn double(case: Case) -> Double {
    let engine = Arc::new(Engine::start(match case {
        Case::Willing => How::Well,
        Case::Forbidden => How::Refuses(403),
        Case::ActsAndHangs => How::Hangs,
        Case::ActsAndFails => How::Says(500),
    }));
    let (a, b, c, d) = (Arc::clone(&engine), Arc::clone(&engine), Arc::clone(&engine), Arc::clone(&engine));
    let index = |part| usize::from(part == Part::Db);
    Double {
        hands: Arc::new(engine.hands()),
        asked: Box::new(move || a.with(|state| state.asked.len())),
        changes: Box::new(move || b.posts().len()),
        life: Box::new(move |part| c.with(|state| state.containers[index(part)].starts.to_string())),
        runs: Box::new(move |part| d.with(|state| state.containers[index(part)].status == "running")),
        _alive: Box::new(engine),
    }
}

#[test]
fn the_contract_by_a_scripted_engine() {
    holds(double);
}

fn target(name: &str) -> Target {
    Target { id: format!("id-{name}"), name: name.to_owned(), size_gb: None }
}

#[test]
fn a_container_has_ten_seconds_to_end_and_is_asked_for_by_its_id() {
    let engine = Engine::start(How::Well);
    let done = run(engine.hands().act(&Order::Restart(Part::Db, target("db")), within(AMPLE))).unwrap();
    assert_eq!(done.said, "restart of container db: it is Up (healthy)");
    assert_eq!(engine.posts(), ["POST /v1.41/containers/id%2Ddb/restart?t=10"]);
    let done = run(engine.hands().act(&Order::RestartProxy(target("haproxy")), within(AMPLE))).unwrap();
    assert!(done.said.starts_with("restart of container haproxy"), "{done:?}");
}

#[test]
fn what_is_stopped_is_started_what_is_paused_let_go_on_and_what_runs_let_be() {
    let engine = Engine::start(How::Well);
    let hands = engine.hands();
    let start = || run(hands.act(&Order::StartDb(target("db")), within(AMPLE)));
    assert_eq!(run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap(), []);
    assert!(start().unwrap().said.contains("runs already"));
    assert!(engine.posts().is_empty());
    for (status, verb) in [("exited", "start"), ("paused", "unpause"), ("created", "start")] {
        engine.with(|state| state.containers[1].status = status);
        assert_eq!(run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap(), [target("db")], "{status}");
        start().unwrap_or_else(|undone| panic!("{status}: {undone}"));
        let last = engine.posts().pop().unwrap();
        assert_eq!(last, format!("POST /v1.41/containers/id%2Ddb/{verb}"), "{status}");
    }
}

#[test]
fn a_refusal_that_came_after_the_stop_is_no_refusal() {
    for how in [How::Halfway(400), How::Halfway(500)] {
        let engine = Engine::start(how);
        let end = run(engine.hands().act(&Order::Restart(Part::Db, target("db")), within(AMPLE)));
        assert!(matches!(end, Err(Undone::Unknown { .. })), "{how:?}: {end:?}");
    }
    for status in [404, 409] {
        let engine = Engine::start(How::Refuses(status));
        let end = run(engine.hands().act(&Order::Restart(Part::Db, target("db")), within(AMPLE)));
        let Err(Undone::Refused { why, .. }) = &end else { panic!("{status}: {end:?}") };
        assert!(why.contains("nothing has changed") && !why.contains(SECRET), "{why}");
    }
}

#[test]
fn a_container_that_is_not_well_in_time_is_not_done() {
    let engine = Engine::start(How::Well);
    engine.with(|state| state.containers[1].health = Some("starting"));
    let order = Order::Restart(Part::Db, target("db"));
    let end = run(engine.hands().act(&order, within(Duration::from_secs(2))));
    let Err(Undone::Unknown { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.ends_with("not seen to run well in time: it is Up (starting)"), "{why}");
    assert_eq!(engine.posts().len(), 1);
}

#[test]
fn without_an_engine_nothing_was_asked() {
    let docker = Docker::new("unix:///nowhere/docker.sock", None, Some("db".to_owned())).unwrap();
    let hands = DockerHands::new(Arc::new(docker), None);
    assert_eq!(hands.offers(), [Deed::StartDb, Deed::RestartDb]);
    let end = run(hands.act(&Order::Restart(Part::Db, target("db")), within(AMPLE)));
    let Err(Undone::Refused { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.contains("no such socket") && why.contains("nothing was asked"), "{why}");
}
