//! Kubernetes, by a scripted API server that keeps a Deployment, a StatefulSet with one pod and its claim, in the shapes of
//! the API reference; no cluster stands behind it.

use crate::contract::{AMPLE, Case, Double, RUNTIME, SECRET, holds, run, within};
use crate::http_double::{Asked, Reply, Route, serve};
use pgmedic_model::Deed;
use pgmedic_path::hands::kubernetes::KubernetesHands;
use pgmedic_path::hands::{Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use pgmedic_path::platform::kubernetes::{Kubernetes, KubernetesNames};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How it takes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Well,
    Forbids,
    Hangs,
    Fails,
    Garbles,
}

/// What the server keeps.
#[derive(Debug)]
struct State {
    how: How,
    /// Looks until what was changed shows.
    lag: u32,
    left: u32,
    generation: u64,
    pod: u64,
    owned: bool,
    claim_gb: u64,
    asked_gb: u64,
    expands: bool,
    pending: bool,
    stuck: bool,
    asked: Vec<String>,
    bodies: Vec<(String, Value)>,
}

struct Server {
    state: Arc<Mutex<State>>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl Server {
    fn start(how: How) -> Self {
        let state = Arc::new(Mutex::new(State {
            how,
            lag: 2,
            left: 0,
            generation: 4,
            pod: 1,
            owned: true,
            claim_gb: 10,
            asked_gb: 10,
            expands: true,
            pending: false,
            stuck: false,
            asked: Vec::new(),
            bodies: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let route: Route = Arc::new(move |asked: &Asked| answer(&mut locked(&shared), asked));
        let listener = run(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&route)));
            }
        });
        Self { state, port, task }
    }

    fn hands(&self) -> KubernetesHands {
        self.hands_on("deployment/renderflow-api", "statefulset/pg")
    }

    fn hands_on(&self, api: &str, db: &str) -> KubernetesHands {
        let names =
            KubernetesNames { api: Some(api.into()), db: Some(db.into()), namespace: Some("shop".into()) };
        let config = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             users: [{{name: u, user: {{token: {SECRET}}}}}]\n",
            self.port
        );
        let kubernetes = Kubernetes::by_kubeconfig(names, &config, Path::new("/"), None, None).unwrap();
        KubernetesHands::new(Arc::new(kubernetes), Some("deployment/renderflow-api".to_owned()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut locked(&self.state))
    }

    fn changes(&self) -> usize {
        self.with(|state| state.bodies.len())
    }
}

fn refused(code: u16, reason: &str, message: &str) -> Reply {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code });
    Reply::Says(code, body.to_string().into_bytes())
}

fn deployment(state: &State) -> Value {
    let settled = state.left == 0 && !state.stuck;
    let new = if settled { 2 } else { 1 };
    let conditions = if state.stuck {
        json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out" }])
    } else {
        json!([])
    };
    json!({ "kind": "Deployment", "metadata": { "name": "renderflow-api", "namespace": "shop", "generation": state.generation },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "api" } } },
        "status": { "observedGeneration": if settled || state.stuck { state.generation } else { state.generation - 1 },
            "replicas": 2, "updatedReplicas": new, "availableReplicas": 2, "conditions": conditions } })
}

fn pod(state: &State) -> Value {
    let owners = if state.owned { json!([{ "kind": "StatefulSet", "name": "pg" }]) } else { json!([]) };
    let ready = if state.left == 0 { "True" } else { "False" };
    json!({ "metadata": { "name": "pg-0", "namespace": "shop", "uid": format!("uid-{}", state.pod), "ownerReferences": owners },
        "spec": { "nodeName": "n", "containers": [{ "name": "main", "image": "x", "env": [{ "name": "P", "value": SECRET }] }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data-pg-0" } }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] } })
}

fn claim(state: &State) -> Value {
    let conditions = if state.pending && state.asked_gb > state.claim_gb {
        json!([{ "type": "FileSystemResizePending", "status": "True" }])
    } else {
        json!([])
    };
    let has = if state.left == 0 && !state.pending { state.asked_gb } else { state.claim_gb };
    json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": "data-pg-0", "resourceVersion": "77" },
        "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": format!("{}Gi", state.asked_gb) } } },
        "status": { "phase": "Bound", "capacity": { "storage": format!("{has}Gi") }, "conditions": conditions } })
}

const CORE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";

fn answer(state: &mut State, asked: &Asked) -> Reply {
    assert_eq!(asked.authorization, format!("Bearer {SECRET}"));
    let path = asked.resource.split('?').next().unwrap_or_default().replace("%2D", "-");
    state.asked.push(format!("{} {path}", asked.method));
    let short = path.replace(CORE, "core").replace(APPS, "apps");
    if asked.method != "GET" {
        return change(state, asked, &short);
    }
    let lists_pods = short == "core/pods";
    if !lists_pods || state.left > 0 {
        state.left = state.left.saturating_sub(u32::from(
            short.contains("renderflow-api") || lists_pods || short.contains("claims"),
        ));
    }
    match short.as_str() {
        "apps/deployments/renderflow-api" => Reply::ok(deployment(state).to_string()),
        "apps/statefulsets/pg" => Reply::ok(
            json!({ "metadata": { "name": "pg" }, "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "pg" } } } })
                .to_string(),
        ),
        "core/pods" => Reply::ok(json!({ "items": [pod(state)] }).to_string()),
        "core/pods/pg-0" => Reply::ok(pod(state).to_string()),
        "core/persistentvolumeclaims/data-pg-0" => Reply::ok(claim(state).to_string()),
        "/apis/storage.k8s.io/v1/storageclasses/fast" => {
            Reply::ok(json!({ "metadata": { "name": "fast" }, "allowVolumeExpansion": state.expands }).to_string())
        }
        _ => refused(404, "NotFound", "not found"),
    }
}

fn change(state: &mut State, asked: &Asked, short: &str) -> Reply {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    state.bodies.push((format!("{} {short} {}", asked.method, asked.content_type), body.clone()));
    if state.how == How::Forbids {
        return refused(403, "Forbidden", "pods \"pg-0\" is forbidden: token=hunter2 cannot");
    }
    state.left = state.lag;
    let told = match (asked.method.as_str(), short) {
        ("PATCH", "apps/deployments/renderflow-api") => {
            state.generation += 1;
            deployment(state)
        }
        ("DELETE", "core/pods/pg-0") => {
            assert_eq!(body["preconditions"]["uid"], format!("uid-{}", state.pod));
            let told = pod(state);
            state.pod += 1;
            told
        }
        ("PATCH", "core/persistentvolumeclaims/data-pg-0") => {
            let size = body["spec"]["resources"]["requests"]["storage"].as_str().unwrap();
            state.asked_gb = size.strip_suffix("Gi").unwrap().parse().unwrap();
            claim(state)
        }
        other => panic!("{other:?}"),
    };
    match state.how {
        How::Hangs => Reply::Hangs,
        How::Fails => refused(504, "Timeout", "etcdserver: request timed out"),
        How::Garbles => Reply::Says(200, b"<html>".to_vec()),
        How::Well | How::Forbids => Reply::ok(told.to_string()),
    }
}

fn double(case: Case) -> Double {
    let server = Arc::new(Server::start(match case {
        Case::Willing => How::Well,
        Case::Forbidden => How::Forbids,
        Case::ActsAndHangs => How::Hangs,
        Case::ActsAndFails => How::Fails,
    }));
    let (a, b, c) = (Arc::clone(&server), Arc::clone(&server), Arc::clone(&server));
    let d = Arc::clone(&server);
    Double {
        hands: Arc::new(server.hands()),
        asked: Box::new(move || a.with(|state| state.asked.len())),
        changes: Box::new(move || b.changes()),
        life: Box::new(move |part| {
            c.with(|state| if part == Part::Api { state.generation } else { state.pod }.to_string())
        }),
        runs: Box::new(move |_| d.with(|state| state.left == 0)),
        _alive: Box::new(server),
    }
}

#[test]
fn the_contract_by_a_scripted_api_server() {
    holds(double);
}

fn only(hands: &KubernetesHands, deed: Deed) -> Target {
    let mut all = run(hands.targets(deed, within(AMPLE))).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_rollout_is_kubectls_annotation_and_waits_for_every_pod() {
    let server = Server::start(How::Well);
    let hands = server.hands();
    let target = only(&hands, Deed::RestartApi);
    assert_eq!(target.id, "deployments/renderflow-api");
    let done = run(hands.act(&Order::Restart(Part::Api, target.clone()), within(AMPLE))).unwrap();
    assert_eq!(done.said, "rollout of deployments/renderflow-api: 2 of 2 pods are new, 2 available");
    let (how, body) = server.with(|state| state.bodies[0].clone());
    assert_eq!(how, "PATCH apps/deployments/renderflow-api application/strategic-merge-patch+json");
    let at = &body["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(at.as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{body}");
    assert_eq!(only(&hands, Deed::RestartProxy).id, "deployments/renderflow-api");

    server.with(|state| state.stuck = true);
    let end = run(hands.act(&Order::Restart(Part::Api, target), within(AMPLE)));
    assert!(matches!(&end, Err(Undone::Unknown { why, .. }) if why.contains("has timed out")), "{end:?}");
}

#[test]
fn a_pod_that_nothing_owns_is_let_be_and_no_workload_is_no_rollout() {
    let server = Server::start(How::Well);
    server.with(|state| state.owned = false);
    let hands = server.hands_on("app=api", "pod/pg-0");
    let target = only(&hands, Deed::RestartDb);
    let end = run(hands.act(&Order::Restart(Part::Db, target), within(AMPLE)));
    assert!(
        matches!(&end, Err(Undone::Refused { why, .. }) if why.contains("would not come back")),
        "{end:?}"
    );
    let why = run(hands.targets(Deed::RestartApi, within(AMPLE))).unwrap_err().to_string();
    assert!(why.contains("a rollout is of a deployment"), "{why}");
    assert_eq!(server.changes(), 0);
}

#[test]
fn a_claim_grows_where_its_class_allows_it_and_says_where_its_pod_must_restart() {
    let server = Server::start(How::Well);
    let hands = server.hands();
    let target = only(&hands, Deed::ExtendVolume);
    assert_eq!((target.id.as_str(), target.size_gb), ("data-pg-0", Some(10)));
    let grow = |size| {
        run(hands.act(&Order::Extend(Target { size_gb: None, ..target.clone() }, size), within(AMPLE)))
    };
    assert!(matches!(grow(10), Err(Undone::Refused { .. })), "its own size counts");
    server.with(|state| state.expands = false);
    let end = grow(12);
    assert!(
        matches!(&end, Err(Undone::Refused { why, .. }) if why.contains("allowVolumeExpansion")),
        "{end:?}"
    );
    assert_eq!(server.changes(), 0);
    server.with(|state| state.expands = true);
    let done = grow(12).unwrap();
    assert!(!done.needs_restart && done.said == "claim data-pg-0 has 12Gi", "{done:?}");
    let (how, body) = server.with(|state| state.bodies[0].clone());
    assert_eq!(how, "PATCH core/persistentvolumeclaims/data-pg-0 application/merge-patch+json");
    assert_eq!(body["metadata"]["resourceVersion"], "77", "as it was looked at");
    server.with(|state| (state.claim_gb, state.pending) = (12, true));
    assert!(grow(20).unwrap().needs_restart);
}

#[test]
fn what_was_not_answered_well_is_unknown_and_a_missing_rule_is_named() {
    let server = Server::start(How::Garbles);
    let hands = server.hands();
    let order = Order::Restart(Part::Db, only(&hands, Deed::RestartDb));
    let end = run(hands.act(&order, within(Duration::from_secs(3))));
    assert!(matches!(end, Err(Undone::Unknown { .. })), "{end:?}");
    let server = Server::start(How::Forbids);
    let end = run(server.hands().act(&order, within(AMPLE)));
    let Err(Undone::Refused { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.contains("verbs: [\"delete\"]") && !why.contains(SECRET), "{why}");
}
