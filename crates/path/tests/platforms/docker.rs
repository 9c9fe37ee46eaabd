//! Docker, by a scripted engine that serves shapes recorded from 20.10.24. The real engine is tested in `docker_engine`.

use crate::contract::{Case, Double, SECRET, holds};
use crate::http_double::{Asked, Reply, Route, serve};
use pgmedic_path::platform::docker::Docker;
use pgmedic_path::platform::{Part, Platform, Untold};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::time::Instant;

const VERSION: &str =
    r#"{"Version":"20.10.24+dfsg1","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux"}"#;

/// An engine on a socket of its own, answering by a route.
struct Engine {
    folder: TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    fn start(route: Route) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&route)));
            }
        });
        Self { folder, task }
    }

    fn docker(&self, db: &str) -> Docker {
        let host = format!("unix://{}/docker.sock", self.folder.path().display());
        Docker::new(&host, Some("renderflow-api".to_owned()), Some(db.to_owned())).unwrap()
    }
}

fn listed(id: &str, name: &str, project: &str) -> String {
    format!(
        r#"[{{"Id":"{id}","Names":["/{name}"],"Image":"pg","State":"running","Labels":{{"com.docker.compose.project":"{project}","com.docker.compose.service":"db"}}}}]"#
    )
}

fn container(name: &str, state: &str) -> String {
    format!(
        r#"{{"Id":"id-{name}","Name":"/{name}","RestartCount":0,"State":{{{state}}},
            "Config":{{"Tty":false,"Env":["POSTGRES_PASSWORD={SECRET}","PGDATA=/var/lib/postgresql/data"],"Labels":{{}}}},
            "HostConfig":{{"RestartPolicy":{{"Name":"no","MaximumRetryCount":0}}}},
            "Mounts":[{{"Type":"volume","Name":"pgdata","Source":"/nowhere/pgdata/_data","Destination":"/var/lib/postgresql/data","Driver":"local","RW":true}}],
            "GraphDriver":{{"Name":"overlay2","Data":{{"UpperDir":"/nowhere/diff"}}}}}}"#
    )
}

const RUNNING: &str = r#""Status":"running","Running":true,"OOMKilled":false,"Pid":7,"ExitCode":0,"Error":"","StartedAt":"2026-11-23T03:10:00.422151321Z","FinishedAt":"0001-01-01T00:00:00Z""#;
const STOPPED: &str = r#""Status":"exited","OOMKilled":false,"Pid":0,"ExitCode":0,"Error":"","StartedAt":"2026-11-23T03:10:00Z","FinishedAt":"2026-11-23T03:12:09Z""#;
const KILLED: &str = r#""Status":"exited","OOMKilled":true,"Pid":0,"ExitCode":137,"Error":"password=hunter2","StartedAt":"2026-11-23T03:10:00Z","FinishedAt":"2026-11-23T03:12:09Z""#;

/// The API's log, in frames.
fn frames() -> Vec<u8> {
    let mut all = Vec::new();
    for (stream, line) in [
        (1, "2026-11-23T03:12:08.000000001Z Server listening\n"),
        (2, "2026-11-23T03:12:09.000000001Z Database not initialised\n"),
    ] {
        all.extend([stream, 0, 0, 0]);
        all.extend(u32::try_from(line.len()).unwrap().to_be_bytes());
        all.extend(line.as_bytes());
    }
    all
}

fn route(case: Case) -> Route {
    let state = match case {
        Case::Stopped => STOPPED,
        Case::Failed => KILLED,
        _ => RUNNING,
    };
    Arc::new(move |asked: &Asked| {
        let resource = asked.resource.as_str();
        assert_eq!(asked.authorization, "", "the engine is sent no credentials");
        match case {
            Case::Denied => return Reply::Says(403, b"authorization denied by plugin casbin".to_vec()),
            Case::Hang => return Reply::Hangs,
            Case::Garbage => return Reply::Garbles,
            Case::Endless if resource != "/version" => return Reply::NeverEnds,
            _ => {}
        }
        match resource.strip_prefix("/v1.41") {
            None if resource == "/version" => Reply::ok(VERSION),
            Some(path) if path.starts_with("/containers/json?") => match () {
                () if path.contains("renderflow%2Dapi") => {
                    Reply::ok(listed("id-renderflow-api", "renderflow-api", "shop"))
                }
                () if path.contains("%22db%22") => Reply::ok(listed("id-db", "db", "shop")),
                () => Reply::ok("[]"),
            },
            Some("/containers/id%2Ddb/json") => Reply::ok(container("db", state)),
            Some("/containers/id%2Drenderflow%2Dapi/json") => Reply::ok(container("renderflow-api", RUNNING)),
            Some(path) if path.contains("/logs?") => Reply::ok(frames()),
            _ => Reply::Says(404, br#"{"message":"page not found"}"#.to_vec()),
        }
    })
}

async fn double(case: Case) -> Double {
    let engine = Engine::start(route(case));
    let platform = Box::new(engine.docker(if case == Case::Unknown { "pg-unknown" } else { "db" }));
    Double { platform, denied: "plugin", unknown: "pg-unknown", _alive: Box::new(engine) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn the_contract_by_a_scripted_engine() {
    holds(double).await;
}

#[tokio::test]
async fn an_answer_that_is_json_of_another_kind_is_refused_without_being_repeated() {
    let engine = Engine::start(Arc::new(|asked: &Asked| match asked.resource.as_str() {
        "/version" => Reply::ok(VERSION),
        _ => Reply::ok(format!("{{\"Env\":[\"PGPASSWORD={SECRET}\"]}}")),
    }));
    match engine.docker("db").instances(Part::Db, soon()).await {
        Err(Untold::Failed(why)) => assert!(why.contains("line 1") && !why.contains(SECRET), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_is_no_beginning_of_an_id_and_two_projects_are_two_services() {
    // The engine finds parts of names, and takes `db` in a path for the beginning of an id.
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&asked_for);
    let engine = Engine::start(Arc::new(move |asked: &Asked| {
        ears.lock().unwrap().push(asked.resource.clone());
        match asked.resource.as_str() {
            "/version" => Reply::ok(VERSION),
            path if path.contains("%22name%22") => Reply::ok(listed("db7e", "shop-db-backup", "x")),
            path if path.contains("%3Dshop%22") => Reply::ok(listed("id-db", "shop-db-1", "shop")),
            path if path.contains("/containers/json?") => {
                let (a, b) = (listed("id-db", "shop-db-1", "shop"), listed("id-2", "blog-db-1", "blog"));
                Reply::ok(format!("{},{}", a.trim_end_matches(']'), b.trim_start_matches('[')))
            }
            "/v1.41/containers/id%2Ddb/json" => Reply::ok(container("db", RUNNING)),
            other => panic!("{other}"),
        }
    }));
    match engine.docker("db").instances(Part::Db, soon()).await {
        Err(Untold::Failed(why)) => assert!(why.contains("blog, shop; write project/db"), "{why}"),
        other => panic!("{other:?}"),
    }
    let told = engine.docker("shop/db").instances(Part::Db, soon()).await.unwrap();
    assert_eq!(told[0].id, "id-db");
    assert!(asked_for.lock().unwrap().iter().all(|path| !path.contains("/containers/db/")));
}

#[tokio::test]
async fn a_volume_that_is_not_of_this_host_says_so() {
    let engine = Engine::start(Arc::new(|asked: &Asked| match asked.resource.strip_prefix("/v1.41") {
        Some("/info") => Reply::ok(r#"{"Name":"elsewhere","Containers":1}"#),
        _ => route(Case::Running)(asked),
    }));
    let told = engine.docker("db").volumes(soon()).await.unwrap();
    assert_eq!((told.len(), told[0].name.as_str(), told[0].filesystem.as_ref()), (1, "pgdata", None));
    assert!(
        told[0].word.contains("free space not seen: the engine runs on another host"),
        "{}",
        told[0].word
    );
}

#[tokio::test]
async fn no_socket_and_a_stopped_engine_have_their_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/docker.sock", folder.path().display());
    let docker = Docker::new(&host, None, Some("db".to_owned())).unwrap();
    let why = docker.instances(Part::Db, soon()).await.unwrap_err().to_string();
    assert!(why.contains("no such socket") && why.contains("DOCKER_HOST"), "{why}");
    drop(UnixListener::bind(folder.path().join("docker.sock")).unwrap());
    let why = docker.instances(Part::Db, soon()).await.unwrap_err().to_string();
    assert!(why.contains("the engine itself is stopped"), "{why}");
    assert_eq!(docker.log(Part::Api, soon()).await.unwrap_err(), Untold::NotNamed("api"));
}
